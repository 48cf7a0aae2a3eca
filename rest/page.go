package rest

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

//go:embed page.html
var pageText string

// reference is what the page shows: the OpenAPI document, put into the order in
// which a person reads it.
type reference struct {
	Info     *huma.Info
	Chapters []chapter
	Verdicts []verdictNote
	Errors   []errorNote
	Problem  payload
}

// chapter is a tag of the document: the object it is about, and the operations.
type chapter struct {
	Anchor, Title, Description string
	Object                     *object
	Operations                 []operationNote
}

// operationNote is one operation. Its anchor is its id.
type operationNote struct {
	*huma.Operation

	Method, Path string
	Open         bool
	Parameters   []parameterNote // of the path and the query
	Headers      []string        // each is explained once, in the page's beginning
	Body         *payload        // nil: none
	Answer       payload
	Status       int      // of the answer
	Streams      []string // media types of the answer beside application/json
	Refusals     []refusal
	Example      string
	Sample       string // of its answer
}

type parameterNote struct {
	*huma.Param

	Type  string
	Rules []string
	Words []any
}

type refusal struct {
	Status int
	Codes  []latchkey.ErrorCode
}

// renderPage makes the reference page of the document, and the policy under
// which it is shown. It is one HTML page without scripts and without anything
// from elsewhere, so that it works where the authority does.
func renderPage(doc *huma.OpenAPI, operations []operation) (page []byte, policy string, err error) {
	t, err := template.New("page").Funcs(template.FuncMap{"prose": prose, "spans": spans, "lower": strings.ToLower, "statusText": http.StatusText}).Parse(pageText)
	if err != nil {
		return nil, "", err
	}
	s := schemas{doc.Components.Schemas}
	view := reference{
		Info: doc.Info, Chapters: s.chapters(doc, operations), Verdicts: verdictNotes(), Errors: errorNotes(),
		Problem: s.payload(&huma.Schema{Ref: schemaPrefix + "Problem"}, false),
	}
	var out bytes.Buffer
	if err := t.Execute(&out, view); err != nil {
		return nil, "", err
	}
	return out.Bytes(), pagePolicy(out.Bytes()), nil
}

// pagePolicy lets the page load nothing, and have no style but its own.
func pagePolicy(page []byte) string {
	_, after, _ := bytes.Cut(page, []byte("<style>"))
	style, _, _ := bytes.Cut(after, []byte("</style>"))
	sum := sha256.Sum256(style)
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

func (s schemas) chapters(doc *huma.OpenAPI, operations []operation) []chapter {
	var all []chapter
	for _, tag := range doc.Tags {
		c := chapter{Anchor: "chapter-" + strings.ReplaceAll(tag.Name, " ", "-"), Title: strings.ToUpper(tag.Name[:1]) + tag.Name[1:], Description: tag.Description}
		if name, ok := chapterObjects[tag.Name]; ok {
			c.Object = s.object(name)
		}
		for i := range operations {
			if op := &operations[i]; op.tag == tag.Name {
				c.Operations = append(c.Operations, s.operation(op, *slot(doc.Paths[op.path], op.method)))
			}
		}
		all = append(all, c)
	}
	return all
}

func (s schemas) operation(op *operation, described *huma.Operation) operationNote {
	note := operationNote{Operation: described, Method: op.method, Path: op.path, Open: op.open, Status: op.status, Refusals: refusalsOf(op)}
	for _, p := range described.Parameters {
		if p.In == "header" {
			note.Headers = append(note.Headers, p.Name)
			continue
		}
		note.Parameters = append(note.Parameters, parameterNote{p, s.typeOf(p.Schema), rules(p.Schema), p.Schema.Enum})
	}
	if b := described.RequestBody; b != nil {
		sent := s.payload(b.Content["application/json"].Schema, true)
		note.Body = &sent
	}
	success := described.Responses[strconv.Itoa(op.status)].Content
	note.Answer = s.payload(success["application/json"].Schema, false)
	for _, media := range slices.Sorted(maps.Keys(success)) {
		if media != "application/json" {
			note.Streams = append(note.Streams, media)
		}
	}
	if e, ok := examples[op.id]; ok {
		note.Example, note.Sample = e.curl(op), e.answer
	}
	return note
}

// refusalsOf groups an operation's refusals by status, lowest first.
func refusalsOf(op *operation) []refusal {
	var all []refusal
	for _, code := range op.refusals() {
		status := meanings[code].status
		i := slices.IndexFunc(all, func(r refusal) bool { return r.Status == status })
		if i < 0 {
			i, all = len(all), append(all, refusal{Status: status})
		}
		all[i].Codes = append(all[i].Codes, code)
	}
	slices.SortFunc(all, func(a, b refusal) int { return a.Status - b.Status })
	return all
}

// span is a piece of a text: prose, or code between backquotes.
type span struct {
	Text string
	Code bool
}

// prose takes a description apart into paragraphs of spans, so that the template
// escapes every piece of it.
func prose(text string) [][]span {
	var paragraphs [][]span
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if found := spans(paragraph); len(found) > 0 {
			paragraphs = append(paragraphs, found)
		}
	}
	return paragraphs
}

func spans(text string) []span {
	var found []span
	for i, piece := range strings.Split(text, "`") {
		if piece != "" {
			found = append(found, span{piece, i%2 == 1})
		}
	}
	return found
}

// verdictNote explains a verdict.
type verdictNote struct {
	Code    latchkey.Code
	Status  int
	Meaning string
}

func verdictNotes() []verdictNote {
	var all []verdictNote
	for _, code := range latchkey.Codes() {
		all = append(all, verdictNote{code, code.HTTPStatus(), verdictMeanings[code]})
	}
	return all
}

// errorNote explains a refusal.
type errorNote struct {
	advice

	Code   latchkey.ErrorCode
	Status int
	Title  string
}

func errorNotes() []errorNote {
	var all []errorNote
	for _, code := range latchkey.ErrorCodes() {
		m := meanings[code]
		all = append(all, errorNote{advices[code], code, m.status, m.title})
	}
	return all
}

// curl is the example as a command line for a shell.
func (e example) curl(op *operation) string {
	var b strings.Builder
	b.WriteString("curl")
	if op.method != http.MethodGet && (op.method != http.MethodPost || op.limit == 0) {
		b.WriteString(" -X " + op.method)
	}
	path := op.path
	if e.path != "" {
		path = e.path
	}
	b.WriteString(` "$LATCHKEY_URL` + path + `"`)
	header := func(line string) { b.WriteString(" \\\n  -H \"" + line + `"`) }
	if !op.open {
		header("Authorization: Bearer $LATCHKEY_TOKEN")
	}
	for _, line := range e.headers {
		header(line)
	}
	if op.limit > 0 && op.body&body.MissingContentType == 0 || e.body != "" {
		header("Content-Type: application/json")
		b.WriteString(" \\\n  -d '" + e.body + "'")
	}
	return b.String()
}
