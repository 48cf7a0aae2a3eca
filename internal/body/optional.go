package body

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Optional is a member of a PATCH body (RFC 7396): absent leaves a thing as it
// is, null clears it, a value sets it. Whether null is allowed for a member is
// a rule of the operation.
type Optional[T any] struct {
	Set   bool // the member is there, perhaps as null
	Null  bool // it is null; Value is then zero
	Value T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *Optional[T]) UnmarshalJSONFrom(values *jsontext.Decoder) error {
	*o = Optional[T]{Set: true, Null: values.PeekKind() == jsontext.KindNull}
	if o.Null {
		return values.SkipValue()
	}
	return json.UnmarshalDecode(values, &o.Value)
}
