package signature

import (
	"errors"
	"fmt"
	"strings"
)

// Component is part of a message that a signature covers: a field by its name in
// lower case, or something derived from the message, whose name begins with "@".
type Component struct {
	Name   string
	params params
}

// String is the component's identifier, as it stands in the signature base.
func (c Component) String() string {
	return bare{kind: kindString, text: c.Name}.String() + c.params.String()
}

// Parameter is what a parameter of the component says, as text; "" if it has none
// of that name.
func (c Component) Parameter(name string) string {
	for _, p := range c.params {
		if p.name == name {
			return p.value.text
		}
	}
	return ""
}

// Input is what a signature says about itself: one member of Signature-Input (RFC
// 9421, section 4.1).
type Input struct {
	Label      string
	Components []Component
	params     params
}

// ParseInput reads a field Signature-Input. Several lines of it are given as one,
// with commas between them.
func ParseInput(field string) ([]Input, error) {
	dictionary, err := parseDictionary(field)
	if err != nil {
		return nil, err
	}
	all := make([]Input, len(dictionary))
	for i, m := range dictionary {
		if all[i], err = readInput(m); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return all, nil
}

func readInput(m member) (Input, error) {
	if !m.list {
		return Input{}, errors.New("it is no list of components")
	}
	in := Input{Label: m.name, params: m.params}
	for _, i := range m.items {
		c := Component{i.value.text, i.params}
		if i.value.kind != kindString || c.Name == "" || strings.ToLower(c.Name) != c.Name {
			return Input{}, errors.New("a component is named by a string in lower case")
		}
		in.Components = append(in.Components, c)
	}
	return in, nil
}

// String writes the components and the parameters as they are signed, whatever
// way they were sent in.
func (in *Input) String() string {
	identifiers := make([]string, len(in.Components))
	for i, c := range in.Components {
		identifiers[i] = c.String()
	}
	return "(" + strings.Join(identifiers, " ") + ")" + in.params.String()
}

// Base makes the signature base (RFC 9421, section 2.5): the bytes that are
// signed. value gives what each component is in the message.
func (in *Input) Base(value func(Component) (string, error)) (string, error) {
	var base strings.Builder
	seen := map[string]bool{}
	for _, c := range in.Components {
		id := c.String()
		if seen[id] || c.Name == "@signature-params" {
			return "", fmt.Errorf("the component %s cannot be covered, or is covered twice", id)
		}
		seen[id] = true
		v, err := value(c)
		if err != nil {
			return "", err
		}
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
			// A line break would be another line of the base.
			return "", fmt.Errorf("the component %s is not printable ASCII", id)
		}
		base.WriteString(id + ": " + v + "\n")
	}
	base.WriteString(`"@signature-params": ` + in.String())
	return base.String(), nil
}
