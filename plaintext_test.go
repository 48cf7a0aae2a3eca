package latchkey_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

var hushed = latchkey.NewPlaintext("hunter2hunter2")

// checkHushed looks for the secret in clear, in hexadecimal, in decimal bytes and
// in base64.
func checkHushed(t *testing.T, how, shown string) {
	t.Helper()
	for _, form := range []string{"hunter", "68756e746572", "68756E746572", "104 117 110", "104,117,110", "aHVudGVy", "68 75 6e", "0x68"} {
		if strings.Contains(shown, form) {
			t.Errorf("%s shows the secret: %s", how, shown)
		}
	}
	if !strings.Contains(shown, latchkey.Redacted) {
		t.Errorf("%s does not say that it redacted: %s", how, shown)
	}
}

// secretive holds the secret in every place where something that prints or
// encodes can meet it.
type secretive struct {
	Plain   latchkey.Plaintext
	Pointer *latchkey.Plaintext
	Slice   []latchkey.Plaintext
	Array   [1]latchkey.Plaintext
	Map     map[string]latchkey.Plaintext
	Any     any
	Nested  struct{ Deep latchkey.Plaintext }
	latchkey.Plaintext
}

func newSecretive() secretive {
	p := hushed
	s := secretive{
		Plain: p, Pointer: &p, Slice: []latchkey.Plaintext{p}, Array: [1]latchkey.Plaintext{p},
		Map: map[string]latchkey.Plaintext{"k": p}, Any: p, Plaintext: p,
	}
	s.Nested.Deep = p
	return s
}

// unembedded is the same without the embedded secret, whose methods would speak
// for the whole struct.
type unembedded struct {
	Plain   latchkey.Plaintext
	Pointer *latchkey.Plaintext
	Slice   []latchkey.Plaintext
	Array   [1]latchkey.Plaintext
	Any     any
	Nested  struct{ Deep latchkey.Plaintext }
}

func newUnembedded() unembedded {
	s := newSecretive()
	return unembedded{s.Plain, s.Pointer, s.Slice, s.Array, s.Any, s.Nested}
}

func TestPlaintextIsHushedInPrint(t *testing.T) {
	p := hushed
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%t", "%c", "%U", "%b", "%e", "%10.3s", "%-30v", "%!"} {
		checkHushed(t, verb, fmt.Sprintf(verb, p))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for name, value := range map[string]any{
			"a pointer": &p, "a slice": []latchkey.Plaintext{p}, "an array": [1]latchkey.Plaintext{p}, "a map": map[string]latchkey.Plaintext{"k": p},
			"the key of a map": map[latchkey.Plaintext]int{p: 1}, "any": []any{p}, "a struct": newUnembedded(), "a pointer to a struct": &secretive{Plain: p, Plaintext: p},
			"an embedded secret": newSecretive(),
		} {
			checkHushed(t, verb+" of "+name, fmt.Sprintf(verb, value))
		}
	}
	checkHushed(t, "Sprint", fmt.Sprint(p, &p))
	checkHushed(t, "Sprintln", fmt.Sprintln("key", p))
	checkHushed(t, "String", p.String())
	checkHushed(t, "GoString", p.GoString())
	var logged bytes.Buffer
	log.New(&logged, "", 0).Println(p, newUnembedded())
	checkHushed(t, "log", logged.String())
}

func TestPlaintextIsHushedInErrors(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("key %v: %w", hushed, io.EOF), fmt.Errorf("key %s", hushed), fmt.Errorf("key %q", []latchkey.Plaintext{hushed}),
		latchkey.Errorf(latchkey.CodeInvalid, "key %s", hushed), errors.Join(fmt.Errorf("key %x", hushed)),
		&latchkey.Error{Code: latchkey.CodeInternal, Cause: fmt.Errorf("key %d", hushed)},
	} {
		checkHushed(t, "an error", err.Error())
		checkHushed(t, "a printed error", fmt.Sprintf("%v %+v", err, err))
	}
}

func TestPlaintextIsHushedInLogs(t *testing.T) {
	handlers := map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	}
	p := hushed
	checkHushed(t, "a handler of another make", slog.AnyValue(p).Resolve().String()+slog.LogValuer(p).LogValue().String())
	for name, handler := range handlers {
		for how, log := range map[string]func(*slog.Logger){
			"value":    func(l *slog.Logger) { l.Info("m", "key", p) },
			"pointer":  func(l *slog.Logger) { l.Info("m", "key", &p) },
			"any":      func(l *slog.Logger) { l.Info("m", slog.Any("key", p)) },
			"group":    func(l *slog.Logger) { l.Info("m", slog.Group("g", "key", p)) },
			"with":     func(l *slog.Logger) { l.With("key", p).WithGroup("g").Info("m", "key", p) },
			"slice":    func(l *slog.Logger) { l.Info("m", "keys", []latchkey.Plaintext{p}) },
			"struct":   func(l *slog.Logger) { l.Info("m", "s", newUnembedded()) },
			"embedded": func(l *slog.Logger) { l.Info("m", "s", newSecretive()) },
			"error":    func(l *slog.Logger) { l.Error("m", "err", fmt.Errorf("key %v", p)) },
			"message":  func(l *slog.Logger) { l.Info(fmt.Sprint(p)) },
		} {
			var out bytes.Buffer
			log(slog.New(handler(&out)))
			checkHushed(t, "slog "+name+", "+how, out.String())
		}
	}
}

func TestPlaintextIsHushedInEncodings(t *testing.T) {
	p := hushed
	for how, value := range map[string]any{
		"value": p, "pointer": &p, "slice": []latchkey.Plaintext{p}, "map": map[string]latchkey.Plaintext{"k": p},
		"struct": newUnembedded(), "embedded": newSecretive(), "any": []any{p},
	} {
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		checkHushed(t, "JSON, "+how, string(encoded))
	}
	for _, marshal := range []func() ([]byte, error){json.Marshaler(p).MarshalJSON, encoding.TextMarshaler(p).MarshalText} {
		encoded, err := marshal()
		if err != nil {
			t.Fatal(err)
		}
		checkHushed(t, "a marshaler of its own", string(encoded))
	}
	for how, value := range map[string]any{
		"value": p, "pointer": &p, "slice": []latchkey.Plaintext{p}, "struct": newUnembedded(),
		"attribute": struct {
			XMLName xml.Name           `xml:"k"`
			Key     latchkey.Plaintext `xml:"key,attr"`
		}{Key: p},
	} {
		encoded, err := xml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		checkHushed(t, "XML, "+how, string(encoded))
	}
}

// A panic that nobody recovers is printed by the runtime and by nobody else, so
// it takes a process of its own to see it.
func TestPlaintextIsHushedInPanics(t *testing.T) {
	const variable = "LATCHKEY_TEST_PANIC"
	values := map[string]any{"value": hushed, "error": fmt.Errorf("key %v", hushed), "refusal": latchkey.Errorf(latchkey.CodeInternal, "key %v", hushed)}
	if how := os.Getenv(variable); how != "" {
		panic(values[how])
	}
	for how := range values {
		process := exec.Command(os.Args[0], "-test.run=^TestPlaintextIsHushedInPanics$")
		process.Env = append(os.Environ(), variable+"="+how)
		shown, err := process.CombinedOutput()
		if err == nil || !bytes.Contains(shown, []byte("panic: ")) {
			t.Fatalf("%s: no panic: %v\n%s", how, err, shown)
		}
		checkHushed(t, "a panic with the "+how, string(shown))
	}
}

func TestPlaintextExposes(t *testing.T) {
	if got := hushed.Expose(); got != "hunter2hunter2" {
		t.Errorf("got %q", got)
	}
	if got := fmt.Sprint(latchkey.NewPlaintext("")); got != latchkey.Redacted {
		t.Errorf("an empty secret can be told from another: %q", got)
	}
}
