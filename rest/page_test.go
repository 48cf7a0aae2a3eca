package rest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// reference is the page as a browser gets it.
func (h *house) reference() answer {
	h.Helper()
	a := h.as("").do("GET", "/docs", nil).must(http.StatusOK)
	if ct := a.Header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
		h.Fatalf("content type %q", ct)
	}
	return a
}

// element is a start tag of the page, with the text up to the next tag.
type element struct {
	name       string
	attributes map[string]string
	text       string
}

// elements reads the page, which must close whatever it opens.
func elements(t *testing.T, page string) []element {
	t.Helper()
	var all []element
	var open []string
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.Entity = false, xml.HTMLEntity
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attributes: map[string]string{}}
			for _, a := range token.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			all = append(all, e)
			if e.name != "meta" {
				open = append(open, e.name)
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != token.Name.Local {
				t.Fatalf("</%s> closes one of %q", token.Name.Local, open)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if len(all) > 0 && all[len(all)-1].text == "" {
				all[len(all)-1].text = string(token)
			}
		}
	}
	if len(open) > 0 {
		t.Fatalf("%q stay open", open)
	}
	return all
}

// The page shows all that the document has.
func TestPageShowsEverything(t *testing.T) {
	h := open(t)
	page := h.reference().Text
	for _, r := range h.routes() {
		_, after, found := strings.Cut(page, `id="`+r.OperationID+`">`)
		article, _, closed := strings.Cut(after, "</article>")
		if !found || !closed {
			t.Errorf("%s %s has no place of its own", r.method, r.path)
			continue
		}
		wanted := []string{">" + r.method + "<", "<code>" + r.path + "</code>", html.EscapeString(r.Summary)}
		for _, p := range r.Parameters {
			wanted = append(wanted, "<code>"+p.Value.Name+"</code>")
		}
		if r.RequestBody != nil {
			for name := range r.RequestBody.Value.Content["application/json"].Schema.Value.Properties {
				wanted = append(wanted, "<code>"+name+"</code>")
			}
		}
		for status, answer := range r.Responses.Map() {
			wanted = append(wanted, status)
			if status >= "400" {
				for code := range strings.SplitSeq(*answer.Value.Description, ", ") {
					wanted = append(wanted, `<a href="#`+code+`">`)
				}
			}
		}
		for _, w := range wanted {
			if !strings.Contains(article, w) {
				t.Errorf("%s lacks %s", r.OperationID, w)
			}
		}
	}
	for name, schema := range h.document.Components.Schemas {
		for member := range schema.Value.Properties {
			if !strings.Contains(page, "<dt><code>"+member+"</code>") {
				t.Errorf("%s of %s is nowhere", member, name)
			}
		}
	}
	for _, tag := range h.document.Tags {
		if !strings.Contains(page, `<section class="chapter" id="chapter-`+strings.ReplaceAll(tag.Name, " ", "-")+`">`) {
			t.Errorf("no chapter of %s", tag.Name)
		}
	}
}

// A problem's type leads to what explains it, and every code is explained.
func TestPageExplainsEveryCode(t *testing.T) {
	h := open(t)
	page := h.reference().Text
	told := h.as("").do("GET", "/v1/keys", nil).must(http.StatusUnauthorized).text("type")
	if told != "/docs#unauthenticated" {
		t.Errorf("a problem's type is %q", told)
	}
	for _, code := range latchkey.ErrorCodes() {
		explained := regexp.MustCompile(`(?s)<section class="refusal" id="` + string(code) + `">.*?<span>[45]\d\d · [^<]+</span></h3>\n<p>[^<]{10}.*?What to do:</strong> .{10}`)
		if !explained.MatchString(page) {
			t.Errorf("%s is not explained", code)
		}
	}
	for _, code := range latchkey.Codes() {
		explained := regexp.MustCompile(fmt.Sprintf(`<tr id="verdict-%s"><td><code>%[1]s</code></td><td>%d</td><td>[^<]{10}`, code, code.HTTPStatus()))
		if !explained.MatchString(page) {
			t.Errorf("the verdict %s is not explained", code)
		}
	}
}

// The page is whole, leads nowhere that is not there, and needs nothing from
// elsewhere; a browser is told to load nothing, and to run nothing.
func TestPageIsSelfContained(t *testing.T) {
	h := open(t)
	page := h.reference()
	ids, style := map[string]bool{}, ""
	var links []string
	for _, e := range elements(t, page.Text) {
		switch e.name {
		case "script", "link", "img", "iframe", "frame", "object", "embed", "form", "input", "base", "video", "audio", "source", "image", "use":
			t.Errorf("the page has a %s", e.name)
		case "style":
			if style != "" {
				t.Error("there is a second style")
			}
			style = e.text
		}
		for name, value := range e.attributes {
			switch {
			case name == "id" && ids[value]:
				t.Errorf("two places are called %q", value)
			case name == "id":
				ids[value] = true
			case name == "href":
				links = append(links, value)
			case strings.HasPrefix(name, "on"), name == "style", name == "src", name == "srcset", name == "action", name == "http-equiv", name == "ping":
				t.Errorf("a %s has the attribute %s", e.name, name)
			}
			if strings.Contains(value, "://") {
				t.Errorf("a %s leads elsewhere: %s", e.name, value)
			}
		}
	}
	for _, link := range links {
		if place, within := strings.CutPrefix(link, "#"); within && !ids[place] || !within && link != "/openapi.json" {
			t.Errorf("nothing is at %s", link)
		}
	}
	if len(links) < len(h.routes()) {
		t.Errorf("only %d links", len(links))
	}
	if style == "" || strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style is missing or loads something")
	}
	sum := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := page.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy\n%s, want\n%s", got, want)
	}
}

// The ids and the key that stand in the page's examples.
const (
	exampleID  = "key_0d5qh0w2e9x8v3k7m1ac"
	exampleKey = "acme_live_7Hk2mQ9xTz4LpW0e_Q1w2E3r4T5y6U7i8O9p0AaSsDdFfGgHhJjKkLlZzXxC4aEhIp"
)

// Every example works as it stands, with real ids, and is answered as it says.
func TestPageExamplesWork(t *testing.T) {
	h := open(t)
	root := h.as(h.root)
	found := h.reference().examples()
	if len(found) < 10 {
		t.Fatalf("only %d examples are found", len(found))
	}
	statuses := map[string]string{}
	for _, r := range h.routes() {
		statuses[r.OperationID] = slices.Min(slices.Collect(maps.Keys(r.Responses.Map())))
	}
	for _, e := range found {
		h.run(e.of, func() {
			made := root.do("POST", "/v1/keys", object{
				"name": "Acme production", "partner": "Acme Inc.", "scopes": []string{"orders:read"},
				"restrictions": object{"addresses": []string{"203.0.113.0/24"}},
			}).must(http.StatusCreated)
			actual := strings.NewReplacer(exampleID, made.text("key", "id"), exampleKey, made.text("secret"),
				"$LATCHKEY_URL", h.server.URL, "$LATCHKEY_TOKEN", h.root, "$(uuidgen)", "0f8fad5b-d9cb-469f-a165-70867728950e")
			r := h.curl(actual.Replace(e.call))
			a := h.send(r)
			if fmt.Sprint(a.Status) != statuses[e.of] {
				h.Fatalf("%s %s: %d, want %s: %s", r.Method, r.URL, a.Status, statuses[e.of], a.Text)
			}
			if e.answer == "" {
				return
			}
			var sample any
			if err := json.Unmarshal([]byte(e.answer), &sample); err != nil {
				h.Fatal(err)
			}
			if got, want := shape(a.JSON), shape(sample); got != want {
				h.Errorf("answered\n%s\nwhere the page shows\n%s", got, want)
			}
		})
	}
}

// shown is an example of the page.
type shown struct{ of, call, answer string }

func (a answer) examples() []shown {
	var all []shown
	for article := range strings.SplitSeq(a.Text, "<article ") {
		part := func(begin, end string) string {
			_, after, _ := strings.Cut(article, begin)
			text, _, _ := strings.Cut(after, end)
			return html.UnescapeString(text)
		}
		if call := part(`<pre class="example"><code>`, "</code>"); call != "" {
			all = append(all, shown{part(`id="`, `"`), call, part(`<pre class="sample"><code>`, "</code>")})
		}
	}
	return all
}

// curl reads a command line of curl as far as the examples use it.
func (h *house) curl(line string) *http.Request {
	h.Helper()
	words := regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s\\]+`).FindAllString(line, -1)
	if len(words) < 2 || words[0] != "curl" {
		h.Fatalf("not a command line of curl: %s", line)
	}
	method, target, body := http.MethodGet, "", ""
	header := http.Header{}
	for i := 1; i < len(words); i++ {
		value := func() string { i++; return strings.Trim(words[i], `"'`) }
		switch words[i] {
		case "-X":
			method = value()
		case "-d":
			if method == http.MethodGet {
				method = http.MethodPost
			}
			body = value()
		case "-H":
			name, text, _ := strings.Cut(value(), ": ")
			header.Add(name, text)
		default:
			target = strings.Trim(words[i], `"`)
		}
	}
	r, err := http.NewRequestWithContext(h.Context(), method, target, strings.NewReader(body))
	if err != nil {
		h.Fatal(err)
	}
	r.Header = header
	return r
}

// shape spells which members a JSON value has and of which types.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for _, name := range slices.Sorted(maps.Keys(v)) {
			members = append(members, name+": "+shape(v[name]))
		}
		return "{" + strings.Join(members, ", ") + "}"
	case []any:
		if len(v) == 0 {
			return "[]"
		}
		return "[" + shape(v[0]) + "]"
	}
	return fmt.Sprintf("%T", v)
}
