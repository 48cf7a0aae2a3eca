package authority

import (
	"fmt"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey.dev/latchkey"
)

// problems collects every broken rule of an input, so that all are told at once.
type problems []latchkey.FieldError

func (p *problems) add(pointer, rule, detail string) {
	*p = append(*p, latchkey.FieldError{Pointer: pointer, Code: rule, Detail: detail})
}

// at adds a finding of the domain, which knows the rule but not the place.
func (p *problems) at(pointer string, found *latchkey.FieldError) {
	if found != nil {
		*p = append(*p, latchkey.FieldError{Pointer: pointer + found.Pointer, Code: found.Code, Detail: found.Detail})
	}
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	const most = 100 // a batch can break thousands of rules; the first hundred are enough to act on
	return &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "The request breaks a rule; see errors.", Fields: p[:min(len(p), most)]}
}

// text checks a text of min to max characters without control characters.
func (p *problems) text(pointer, s string, least, most int) {
	switch n := utf8.RuneCountInString(s); {
	case n == 0 && least > 0:
		p.add(pointer, "required", "This is required.")
	case n < least || n > most:
		p.add(pointer, "length", fmt.Sprintf("This is %d to %d characters.", least, most))
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.add(pointer, "format", "This is text without control characters.")
	}
}

// scopes checks a list of scopes or permissions and drops repetitions.
func (p *problems) scopes(pointer string, given []string) latchkey.Permissions {
	if len(given) > latchkey.MaxScopes {
		p.add(pointer, "too_many", fmt.Sprintf("There are at most %d of these.", latchkey.MaxScopes))
		return nil
	}
	out := make(latchkey.Permissions, 0, len(given))
	for i, s := range given {
		p.at(index(pointer, i), latchkey.CheckPermission(s))
		if !slices.Contains(out, latchkey.Permission(s)) {
			out = append(out, latchkey.Permission(s))
		}
	}
	return out
}

func (p *problems) addresses(pointer string, given []string) latchkey.AddressList {
	list, found := latchkey.ParseAddressList(given)
	p.at(pointer, found)
	return list
}

func (p *problems) resources(pointer string, given map[string][]string) latchkey.Resources {
	if len(given) > latchkey.MaxResourceTypes {
		p.add(pointer, "too_many", fmt.Sprintf("There are at most %d resource types.", latchkey.MaxResourceTypes))
		return nil
	}
	word := func(pointer, s string) {
		if len(s) < 1 || len(s) > latchkey.MaxResourceLen || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }) {
			p.add(pointer, "format", fmt.Sprintf("A resource type or id is 1 to %d bytes without spaces and control characters.", latchkey.MaxResourceLen))
		}
	}
	for kind, ids := range given {
		at := member(pointer, kind)
		word(at, kind)
		if len(ids) > latchkey.MaxResourceIDs {
			p.add(at, "too_many", fmt.Sprintf("There are at most %d ids for one type.", latchkey.MaxResourceIDs))
			continue
		}
		for i, id := range ids {
			word(index(at, i), id)
		}
	}
	return latchkey.NewResources(given)
}

func (p *problems) metadata(pointer string, d latchkey.Document) {
	if len(d) > latchkey.MaxMetadataLen {
		p.add(pointer, "too_large", fmt.Sprintf("Metadata is at most %d bytes as JSON.", latchkey.MaxMetadataLen))
	}
}

// expiry checks a time and brings it to the store's precision.
func (p *problems) expiry(pointer string, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	if y := t.UTC().Year(); y < 1971 || y > 9999 {
		p.add(pointer, "range", "A time lies between the years 1971 and 9999.")
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

func (p *problems) email(pointer, s string) {
	if len(s) > latchkey.MaxEmailLen {
		p.add(pointer, "length", fmt.Sprintf("An e-mail address is at most %d bytes.", latchkey.MaxEmailLen))
		return
	}
	if a, err := mail.ParseAddress(s); err != nil || a.Address != s || strings.ContainsAny(s, "\r\n\t ") {
		p.add(pointer, "format", "This is an e-mail address, like ada@example.com.")
	}
}

func (p *problems) rank(pointer string, rank int) {
	if rank < 0 || rank > latchkey.MaxRank {
		p.add(pointer, "range", "A rank is 0 to 10.")
	}
}

func index(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

// member points to a member by its name (RFC 6901, section 3). The name is the
// client's: one that could be a secret in the wrong place is not repeated, and
// the pointer is that of the object around it.
func member(pointer, name string) string {
	const most = 40 // shorter than any secret
	if len(name) > most || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return pointer
	}
	return pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
