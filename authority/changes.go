package authority

import (
	"encoding/json"
	"time"

	"latchkey.dev/latchkey"
)

// changes is what an event tells: for something new, its fields; for a change,
// each field with what it was and what it is. Secrets never come here.
type changes map[string]any

// fromTo is a field that changed.
type fromTo struct {
	From any `json:"from"`
	To   any `json:"to"`
}

func (c changes) document() latchkey.Document { return document(c) }

func document(told any) latchkey.Document {
	text, err := json.Marshal(told)
	if err != nil { // every value here is made of strings, numbers and lists of them
		panic("an event's changes do not marshal: " + err.Error())
	}
	return latchkey.Document(text)
}

// stamp spells a time as events do; nil for none.
func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// vouchedFor adds to what an event tells who it was that another issuer vouched
// for: its actor is a number alone.
func vouchedFor(told latchkey.Document, by *latchkey.Assertion) latchkey.Document {
	who := document(map[string]any{"identity": map[string]string{"issuer": by.Issuer.ID.Native(latchkey.KindIssuer), "subject": by.Subject}})
	if told == "" || told == "{}" {
		return who
	}
	return who[:len(who)-1] + "," + told[1:]
}
