package rest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// schemaPrefix begins references to schemas of the document.
const schemaPrefix = "#/components/schemas/"

// schemas spells the document's schemas for people.
type schemas struct{ registry huma.Registry }

// chapterObjects are the objects that chapters are about. Each is shown there
// and linked to from wherever else it stands.
var chapterObjects = map[string]string{
	"keys": "Key", "verification": "Verdict", "organizations": "Organization", "projects": "Project", "users": "User",
	"roles": "Role", "gateways": "Gateway", "issuers": "Issuer", "events": "Event", "nodes": "Node", "key ring": "RingVersion",
}

// object is a schema with a place of its own on the page.
type object struct {
	Anchor, Name string
	Members      []member
}

// member is one line of an object, with what stands inside it.
type member struct {
	Name        string
	Type        string
	Link        *object // where its type is explained
	Mark        string  // required in a body, optional in an answer, or nothing
	Description string
	Rules       []string
	Words       []any // the closed set of its values
	Members     []member
}

// payload is a body or an answer. One that is an object of a chapter links
// there.
type payload struct {
	Link    *object
	Members []member
}

func (s schemas) payload(schema *huma.Schema, sent bool) payload {
	r := s.resolve(schema)
	if r.link != nil {
		return payload{Link: r.link}
	}
	return payload{Members: s.members(r, sent)}
}

func (s schemas) object(name string) *object {
	r := s.resolve(&huma.Schema{Ref: schemaPrefix + name})
	return &object{r.link.Anchor, r.link.Name, s.members(r, false)}
}

// resolved is a schema without the references and alternatives that say no more
// than that it may be null.
type resolved struct {
	*huma.Schema
	ref  string
	null bool
	link *object
}

func (s schemas) resolve(schema *huma.Schema) resolved {
	r := resolved{Schema: schema, null: schema.Nullable}
	if len(r.OneOf) == 2 && r.OneOf[1].Type == "null" {
		r.Schema, r.null = r.OneOf[0], true
	}
	if r.Ref == "" {
		return r
	}
	r.ref, r.Schema = r.Ref, s.registry.SchemaFromRef(r.Ref)
	name := strings.TrimPrefix(r.ref, schemaPrefix)
	for _, shown := range chapterObjects {
		if shown == name {
			r.link = &object{Anchor: "object-" + strings.ToLower(name), Name: name}
		}
	}
	return r
}

// element is what an array holds, however deep; anything else is its own.
func (s schemas) element(r resolved) resolved {
	for r.Items != nil {
		r = s.resolve(r.Items)
	}
	return r
}

// members spells an object's members; sent says that it comes from the client.
func (s schemas) members(r resolved, sent bool) []member {
	var all []member
	for _, name := range s.names(r) {
		given := r.Properties[name]
		own := s.resolve(given)
		inner := s.element(own)
		m := member{
			Name: name, Type: s.typeOf(given), Link: inner.link, Mark: mark(slices.Contains(r.Required, name), sent),
			Description: given.Description, Rules: rules(own.Schema), Words: own.Enum,
		}
		if m.Description == "" {
			m.Description = own.Description
		}
		if inner.link == nil {
			m.Members = s.members(inner, sent)
		}
		all = append(all, m)
	}
	return all
}

// mark tells what is not to be expected: that a client must send a member, or
// that an answer may lack one.
func mark(required, sent bool) string {
	switch {
	case required && sent:
		return "required"
	case !required && !sent:
		return "optional"
	}
	return ""
}

// names gives an object's members in the order in which its Go type declares
// them, which is the order of the wire; what has no such type is sorted.
func (s schemas) names(r resolved) []string {
	names := slices.Sorted(maps.Keys(r.Properties))
	if r.ref == "" {
		return names
	}
	if t := s.registry.TypeFromRef(r.ref); t.Kind() == reflect.Struct {
		declared := wireNames(t)
		slices.SortStableFunc(names, func(a, b string) int { return slices.Index(declared, a) - slices.Index(declared, b) })
	}
	return names
}

func wireNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		if inner := f.Type; f.Anonymous {
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			names = append(names, wireNames(inner)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// typeOf spells a type in words.
func (s schemas) typeOf(schema *huma.Schema) string {
	r := s.resolve(schema)
	text := r.Type
	switch {
	case r.link != nil:
		text = r.link.Name
	case len(r.OneOf) > 0:
		var either []string
		for _, one := range r.OneOf {
			either = append(either, s.typeOf(one))
		}
		text = strings.Join(either, " or ")
	case r.Items != nil:
		text = "array of " + s.typeOf(r.Items)
	case r.Type == "":
		text = "any"
	case r.Format == "date-time":
		text = r.Format
	}
	if each, ok := r.AdditionalProperties.(*huma.Schema); ok && each.Type != "" {
		text = s.typeOf(each) + " by name"
	}
	if r.null {
		text += " or null"
	}
	return text
}

// rules spells what the schema asks of a value beside its type.
func rules(s *huma.Schema) []string {
	var all []string
	bounds := func(least, most *int, noun string) {
		switch {
		case least != nil && most != nil && *least == *most:
			all = append(all, thousands(*most)+" "+noun)
		case least != nil && most != nil:
			all = append(all, thousands(*least)+"–"+thousands(*most)+" "+noun)
		case most != nil:
			all = append(all, "at most "+thousands(*most)+" "+noun)
		case least != nil:
			all = append(all, "at least "+thousands(*least)+" "+noun)
		}
	}
	bounds(s.MinLength, s.MaxLength, "characters")
	bounds(s.MinItems, s.MaxItems, "items")
	if s.Minimum != nil && s.Maximum != nil {
		all = append(all, fmt.Sprintf("%v–%v", *s.Minimum, *s.Maximum))
	}
	if s.Pattern != "" {
		all = append(all, "`"+s.Pattern+"`")
	}
	if s.Default != nil {
		all = append(all, fmt.Sprintf("default `%v`", s.Default))
	}
	if len(s.Examples) > 0 {
		all = append(all, fmt.Sprintf("like `%v`", s.Examples[0]))
	}
	return all
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return thousands(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
