package signature

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// Structured fields (RFC 8941), as far as signatures are written in them. Less is
// accepted than there: nothing may come twice, and byte sequences are in the one
// encoding that they have. So what is read has one meaning.

// Bounds on fields. They are far above what any signer writes.
const (
	maxField   = 8 << 10 // bytes
	maxMembers = 32      // of a dictionary, of an inner list, and of parameters
)

// kind is the type of a bare item.
type kind byte

const (
	kindInteger kind = iota + 1
	kindDecimal
	kindString
	kindToken
	kindBytes
	kindBoolean
)

// bare is a value without parameters.
type bare struct {
	kind   kind
	text   string // what a string or a token says, the bytes of a sequence, the digits of a decimal
	number int64  // an integer; 1 is true
}

func (b bare) String() string {
	switch b.kind {
	case kindInteger:
		return strconv.FormatInt(b.number, 10)
	case kindString:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(b.text) + `"`
	case kindBytes:
		return ":" + base64.StdEncoding.EncodeToString([]byte(b.text)) + ":"
	case kindBoolean:
		return "?" + strconv.FormatInt(b.number, 10)
	case kindDecimal, kindToken:
	}
	return b.text
}

// param is one parameter.
type param struct {
	name  string
	value bare
}

type params []param

// String writes them as RFC 8941, section 4.1.1.2, does.
func (p params) String() string {
	var out strings.Builder
	for _, one := range p {
		out.WriteString(";" + one.name)
		if one.value != (bare{kind: kindBoolean, number: 1}) {
			out.WriteString("=" + one.value.String())
		}
	}
	return out.String()
}

// member is one of a dictionary: an item, or an inner list.
type member struct {
	name  string
	list  bool
	items []item // of the list; else the one item, whose parameters are params
	params
}

type item struct {
	value bare
	params
}

// find is the member with that name.
func find(dictionary []member, name string) (member, bool) {
	for _, m := range dictionary {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

var (
	errSyntax = errors.New("it is not written as a dictionary of structured fields (RFC 8941)")
	errTwice  = errors.New("something comes twice in it")
	errMany   = errors.New("there is too much in it")
)

// parser reads one field from left to right.
type parser struct {
	text string
	at   int
}

// parseDictionary reads a whole field (RFC 8941, section 4.2.2). Several lines of
// a field are one, with commas between them.
func parseDictionary(field string) ([]member, error) {
	if len(field) > maxField {
		return nil, errMany
	}
	p := &parser{text: strings.Trim(field, " ")}
	var all []member
	for p.at < len(p.text) {
		m, err := p.member()
		if err != nil {
			return nil, err
		}
		if _, twice := find(all, m.name); twice {
			return nil, errTwice
		}
		if all = append(all, m); len(all) > maxMembers {
			return nil, errMany
		}
		if p.blanks(" \t"); p.at == len(p.text) {
			break
		}
		if !p.take(',') {
			return nil, errSyntax
		}
		if p.blanks(" \t"); p.at == len(p.text) {
			return nil, errSyntax // a comma with nothing behind it
		}
	}
	return all, nil
}

func (p *parser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0 // which is nowhere allowed
}

func (p *parser) take(c byte) bool {
	if p.next() != c {
		return false
	}
	p.at++
	return true
}

func (p *parser) blanks(which string) {
	for p.at < len(p.text) && strings.IndexByte(which, p.text[p.at]) >= 0 {
		p.at++
	}
}

// while takes characters as long as they are good.
func (p *parser) while(good func(byte) bool) string {
	from := p.at
	for p.at < len(p.text) && good(p.text[p.at]) {
		p.at++
	}
	return p.text[from:p.at]
}

func (p *parser) member() (m member, err error) {
	if m.name, err = p.key(); err != nil {
		return m, err
	}
	switch {
	case !p.take('='):
		m.items = []item{{value: bare{kind: kindBoolean, number: 1}}}
	case p.next() == '(':
		m.list = true
		if m.items, err = p.innerList(); err != nil {
			return m, err
		}
	default:
		value, err := p.bare()
		if err != nil {
			return m, err
		}
		m.items = []item{{value: value}}
	}
	m.params, err = p.params()
	return m, err
}

func (p *parser) key() (string, error) {
	if c := p.next(); !lower(c) && c != '*' {
		return "", errSyntax
	}
	return p.while(func(c byte) bool { return lower(c) || digit(c) || strings.IndexByte("_-.*", c) >= 0 }), nil
}

func (p *parser) innerList() ([]item, error) {
	p.at++ // the parenthesis
	var items []item
	for {
		p.blanks(" ")
		if p.take(')') {
			return items, nil
		}
		value, err := p.bare()
		if err != nil {
			return nil, err
		}
		i := item{value: value}
		if i.params, err = p.params(); err != nil {
			return nil, err
		}
		if c := p.next(); c != ' ' && c != ')' {
			return nil, errSyntax
		}
		if items = append(items, i); len(items) > maxMembers {
			return nil, errMany
		}
	}
}

func (p *parser) params() (params, error) {
	var all params
	for p.take(';') {
		p.blanks(" ")
		one := param{value: bare{kind: kindBoolean, number: 1}}
		var err error
		if one.name, err = p.key(); err != nil {
			return nil, err
		}
		if p.take('=') {
			if one.value, err = p.bare(); err != nil {
				return nil, err
			}
		}
		for _, before := range all {
			if before.name == one.name {
				return nil, errTwice
			}
		}
		if all = append(all, one); len(all) > maxMembers {
			return nil, errMany
		}
	}
	return all, nil
}

func (p *parser) bare() (bare, error) {
	switch c := p.next(); {
	case c == '-' || digit(c):
		return p.number()
	case c == '"':
		return p.string()
	case c == ':':
		return p.bytes()
	case c == '?':
		return p.boolean()
	case c == '*' || lower(c) || upper(c):
		return bare{kind: kindToken, text: p.while(func(c byte) bool { return tchar(c) || c == ':' || c == '/' })}, nil
	}
	return bare{}, errSyntax
}

func (p *parser) number() (bare, error) {
	sign := ""
	if p.take('-') {
		sign = "-"
	}
	whole := p.while(digit)
	if !p.take('.') {
		if len(whole) < 1 || len(whole) > 15 {
			return bare{}, errSyntax
		}
		n, err := strconv.ParseInt(sign+whole, 10, 64)
		return bare{kind: kindInteger, number: n}, err
	}
	fraction := p.while(digit)
	if len(whole) < 1 || len(whole) > 12 || len(fraction) < 1 || len(fraction) > 3 {
		return bare{}, errSyntax
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction == "" {
		fraction = "0"
	}
	return bare{kind: kindDecimal, text: sign + whole + "." + fraction}, nil
}

func (p *parser) string() (bare, error) {
	p.at++ // the quotation mark
	var out strings.Builder
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return bare{kind: kindString, text: out.String()}, nil
		case c == '\\':
			if c = p.next(); c != '"' && c != '\\' {
				return bare{}, errSyntax
			}
			p.at++
		case c < ' ' || c > '~':
			return bare{}, errSyntax
		}
		out.WriteByte(c)
	}
	return bare{}, errSyntax
}

func (p *parser) bytes() (bare, error) {
	p.at++ // the colon
	end := strings.IndexByte(p.text[p.at:], ':')
	if end < 0 {
		return bare{}, errSyntax
	}
	encoded := p.text[p.at : p.at+end]
	p.at += end + 1
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // which the decoder skips
		return bare{}, errSyntax
	}
	return bare{kind: kindBytes, text: string(decoded)}, nil
}

func (p *parser) boolean() (bare, error) {
	p.at++ // the question mark
	switch {
	case p.take('1'):
		return bare{kind: kindBoolean, number: 1}, nil
	case p.take('0'):
		return bare{kind: kindBoolean}, nil
	}
	return bare{}, errSyntax
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func upper(c byte) bool { return c >= 'A' && c <= 'Z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

// tchar is a character of a token (RFC 9110, section 5.6.2).
func tchar(c byte) bool {
	return lower(c) || upper(c) || digit(c) || c != 0 && strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
