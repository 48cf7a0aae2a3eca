package latchkey_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"

	"latchkey.dev/latchkey"
)

func TestErrorCodesListsEveryDeclaredCode(t *testing.T) {
	codes := declared[latchkey.ErrorCode](t, "ErrorCode")
	if !slices.Equal(latchkey.ErrorCodes(), codes) {
		t.Errorf("listed are   %q\ndeclared are %q", latchkey.ErrorCodes(), codes)
	}
	for i, code := range codes {
		if code == "" || slices.Contains(codes[:i], code) {
			t.Errorf("code %d, %q, is empty or there twice", i, code)
		}
	}
}

func TestAsError(t *testing.T) {
	refusal := latchkey.Errorf(latchkey.CodeConflict, "The key %s is revoked.", "key_x")
	for name, err := range map[string]error{
		"itself": refusal, "wrapped": fmt.Errorf("rotating: %w", refusal), "joined": errors.Join(io.EOF, refusal),
	} {
		if got := latchkey.AsError(err); got != refusal || latchkey.CodeOf(err) != latchkey.CodeConflict {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := latchkey.AsError(io.EOF); got.Code != latchkey.CodeInternal || !errors.Is(got, io.EOF) || got.Detail == "" || latchkey.CodeOf(io.EOF) != latchkey.CodeInternal {
		t.Errorf("an unknown error is %+v", got)
	}
	if got := latchkey.CodeOf(nil); got != "" {
		t.Errorf("no error has the code %q", got)
	}
}

func TestErrorText(t *testing.T) {
	for want, refusal := range map[string]*latchkey.Error{
		"conflict":                      {Code: latchkey.CodeConflict},
		"conflict: Not now.":            {Code: latchkey.CodeConflict, Detail: "Not now."},
		"internal: Sorry.: EOF":         {Code: latchkey.CodeInternal, Detail: "Sorry.", Cause: io.EOF},
		"invalid: No. [/a required: A]": {Code: latchkey.CodeInvalid, Detail: "No.", Fields: []latchkey.FieldError{{Pointer: "/a", Code: "required", Detail: "A"}}},
	} {
		if got := refusal.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := (&latchkey.Error{Cause: io.EOF}); !errors.Is(err, io.EOF) {
		t.Error("the cause is not unwrapped")
	}
}

func TestInvalid(t *testing.T) {
	want := []latchkey.FieldError{{Pointer: "/name", Code: "too_long", Detail: "A name has at most 255 characters."}}
	got := latchkey.Invalid("/name", "too_long", "A name has at most 255 characters.")
	if got.Code != latchkey.CodeInvalid || got.Detail == "" || !reflect.DeepEqual(got.Fields, want) {
		t.Errorf("got %+v", got)
	}
}
