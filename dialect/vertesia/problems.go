package vertesia

import (
	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

// problems are the broken rules of a body, so that all are told at once.
type problems []latchkey.FieldError

func (p *problems) add(pointer, rule, detail string) {
	*p = append(*p, latchkey.FieldError{Pointer: pointer, Code: rule, Detail: detail})
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &latchkey.Error{Code: latchkey.CodeInvalid, Detail: "Request validation failed.", Fields: p}
}

// notNull refuses a member that is there as null.
func notNull[T any](p *problems, pointer string, o body.Optional[T]) {
	if o.Null {
		p.add(pointer, "wrong_type", "This cannot be null; leave it out.")
	}
}
