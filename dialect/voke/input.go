package voke

import (
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/dialect/internal/exchange"
	"latchkey.dev/latchkey/internal/body"
)

// Bounds of the document.
const (
	maxText      = 100 // characters of a name or partnerId
	maxLimit     = 100
	defaultLimit = 20
	maxTold      = 20        // broken rules of one field that are told
	maxPage      = 1<<53 - 1 // the greatest integer of every client
)

// problems are the broken rules by field, in the form of details.
type problems map[string][]string

func (p problems) add(field, format string, args ...any) {
	if len(p[field]) < maxTold { // a small request must not have a large answer
		p[field] = append(p[field], fmt.Sprintf(format, args...))
	}
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return invalid(p)
}

// pageOf reads the page of a list.
func pageOf(query url.Values) (page, limit int, err error) {
	broken := problems{}
	page = broken.integer(query, "page", 1, maxPage)
	limit = broken.integer(query, "limit", defaultLimit, maxLimit)
	return page, limit, broken.err()
}

// integer reads a parameter from 1 to most, in decimal digits alone.
func (p problems) integer(query url.Values, name string, otherwise, most int) int {
	values, given := query[name]
	if !given {
		return otherwise
	}
	n, err := strconv.Atoi(values[0])
	switch {
	case len(values) > 1:
		p.add(name, "must be given once")
	case err != nil || n < 1 || n > most || values[0][0] == '+':
		p.add(name, "must be an integer from 1 to %d", most)
	}
	return n
}

// keyBody is a key to be. Its members are read one by one, so that everything
// that is wrong is told at once.
type keyBody struct {
	Name            jsontext.Value `json:"name"`
	PartnerID       jsontext.Value `json:"partnerId"`
	Scopes          jsontext.Value `json:"scopes"`
	AllowedIPs      jsontext.Value `json:"allowedIps"`
	AllowedPlantIDs jsontext.Value `json:"allowedPlantIds"`
	ExpiresAt       jsontext.Value `json:"expiresAt"`
}

// readKey reads a creation: the document's rules here, the authority's after.
func readKey(x *exchange.Exchange) (authority.NewKey, error) {
	var in keyBody
	if err := x.Decode(&in, body.UnknownMembers|body.NUL); err != nil { // U+0000 is told as the broken rule of a field
		return authority.NewKey{}, err
	}
	broken := problems{}
	key := authority.NewKey{
		Name: broken.text("name", in.Name), Partner: broken.text("partnerId", in.PartnerID), Signing: authority.NewSigning{Mode: latchkey.SigningOptional, Format: latchkey.SigningHex},
		Scopes: broken.scopes(in.Scopes), Addresses: broken.texts("allowedIps", in.AllowedIPs),
		ExpiresAt: broken.expiry(in.ExpiresAt, x.Dialect.Clock()), Resources: broken.plants(in.AllowedPlantIDs),
	}
	found := problems{}
	for _, f := range x.Dialect.Authority.CheckNewKey(key) {
		field, what := translate(f)
		found.add(field, "%s", what)
	}
	for field := range broken {
		delete(found, field) // it is told already
	}
	maps.Copy(broken, found)
	return key, broken.err()
}

// absent reports whether a member is not there, or null.
func absent(member jsontext.Value) bool {
	return member == nil || member.Kind() == jsontext.KindNull
}

// text reads a required text of the document's length.
func (p problems) text(field string, member jsontext.Value) string {
	s, ok := asText(member)
	switch n := utf8.RuneCountInString(s); {
	case member == nil:
		p.add(field, "is required")
	case !ok:
		p.add(field, "must be a string")
	case n < 1 || n > maxText:
		p.add(field, "must be 1 to %d characters", maxText)
	}
	return s
}

func asText(member jsontext.Value) (s string, ok bool) {
	if member.Kind() != jsontext.KindString {
		return "", false
	}
	return s, json.Unmarshal(member, &s) == nil
}

// texts reads an array of strings, nil for one that is absent.
func (p problems) texts(field string, member jsontext.Value) []string {
	if absent(member) {
		return nil
	}
	var items []jsontext.Value
	if json.Unmarshal(member, &items) != nil {
		p.add(field, "must be an array of strings")
		return nil
	}
	out := make([]string, len(items))
	for i, item := range items {
		var ok bool
		if out[i], ok = asText(item); !ok {
			p.add(field, "item %d must be a string", i)
		}
	}
	return out
}

func (p problems) scopes(member jsontext.Value) []string {
	const field = "scopes"
	scopes := p.texts(field, member)
	switch {
	case member == nil:
		p.add(field, "is required")
	case absent(member):
		p.add(field, "must be an array of strings")
	case len(scopes) == 0 && len(p[field]) == 0:
		p.add(field, "must have at least 1 item")
	}
	return scopes
}

// plants reads the plants to which the key is restricted: none by an empty list,
// all where there is no list.
func (p problems) plants(member jsontext.Value) map[string][]string {
	const field = "allowedPlantIds"
	if absent(member) {
		return nil
	}
	plants := p.texts(field, member)
	if len(p[field]) > 0 {
		return nil
	}
	for i, id := range plants {
		if _, _, err := latchkey.ParseUUID(id); err != nil {
			p.add(field, "item %d must be a UUID", i)
		}
	}
	return map[string][]string{plantType: plants}
}

// plantType is the type of resources that a key's plants are.
const plantType = "plant"

func (p problems) expiry(member jsontext.Value, now time.Time) time.Time {
	const field = "expiresAt"
	if absent(member) {
		return time.Time{}
	}
	s, _ := asText(member)
	t, err := body.ParseTime(s)
	switch {
	case err != nil:
		p.add(field, "must be a date and time as in RFC 3339: 2030-01-02T03:04:05Z")
	case !t.After(now):
		p.add(field, "must be in the future")
	}
	return t
}

// members are the document's names for what the authority finds fault with.
var members = map[string]string{
	"/name": "name", "/partner": "partnerId", "/scopes": "scopes", "/restrictions/addresses": "allowedIps",
	"/restrictions/resources": "allowedPlantIds", "/restrictions/resources/" + plantType: "allowedPlantIds", "/expires_at": "expiresAt",
}

// translate tells a broken rule of the authority's in the document's terms.
func translate(f latchkey.FieldError) (field, what string) {
	if name, ok := strings.CutPrefix(f.Pointer, "query:"); ok {
		return name, f.Detail
	}
	if field := members[f.Pointer]; field != "" {
		return field, f.Detail
	}
	at := strings.LastIndexByte(f.Pointer, '/')
	if at > 0 {
		if field := members[f.Pointer[:at]]; field != "" {
			return field, "item " + f.Pointer[at+1:] + ": " + f.Detail
		}
	}
	return "request", f.Detail
}
