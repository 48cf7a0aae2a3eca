package rabbitmq

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func asked(body io.Reader, change ...func(*http.Request)) form {
	r := httptest.NewRequest(http.MethodPost, "/integrations/rabbitmq/token/user", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range change {
		c(r)
	}
	return read(httptest.NewRecorder(), r)
}

// A form that says a thing twice, or of which not every byte is clear, says nothing.
func TestForms(t *testing.T) {
	t.Parallel()
	const good = "username=a&password=b%26c&extra=1"
	if f := asked(strings.NewReader(good)); f["username"] != "a" || f["password"] != "b&c" {
		t.Fatalf("a good form is read as %d fields", len(f))
	}
	if f := asked(iotest.OneByteReader(strings.NewReader(good))); f["username"] != "a" {
		t.Error("a form that comes slowly is not read")
	}
	for what, body := range map[string]string{
		"a field twice":                 "username=a&username=b&password=c",
		"a field twice, spelled apart":  "username=a&user%6eame=b&password=c",
		"the same twice":                "username=a&username=a&password=c",
		"a bad escape":                  "username=%zz&password=c",
		"half an escape":                "username=a&password=%2",
		"a semicolon":                   "username=a;username=b&password=c",
		"no UTF-8":                      "username=%ff&password=c",
		"many fields":                   strings.Repeat("x=1&", 1) + manyFields(maxFields+1),
		"more than a form has":          "username=a&password=" + strings.Repeat("p", maxForm),
		"more than that, after a field": "username=a&password=b&x=" + strings.Repeat("p", maxForm),
	} {
		if asked(strings.NewReader(body)) != nil {
			t.Errorf("%s: it is read", what)
		}
	}
	for what, change := range map[string]func(*http.Request){
		"GET":               func(r *http.Request) { r.Method = http.MethodGet },
		"PUT":               func(r *http.Request) { r.Method = http.MethodPut },
		"JSON":              func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
		"no type":           func(r *http.Request) { r.Header.Del("Content-Type") },
		"a broken type":     func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded; =") },
		"several parts":     func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") },
		"compressed":        func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		"more in the query": func(r *http.Request) { r.URL.RawQuery = "username=b" },
	} {
		if asked(strings.NewReader(good), change) != nil {
			t.Errorf("%s: it is read", what)
		}
	}
	for _, err := range []error{io.ErrUnexpectedEOF, errors.New("the client went away"), http.ErrHandlerTimeout} {
		if asked(io.MultiReader(strings.NewReader(good), iotest.ErrReader(err))) != nil {
			t.Errorf("a form that breaks off (%v) is read", err)
		}
	}
}

func manyFields(n int) string {
	values := url.Values{}
	for i := range n {
		values.Set(strings.Repeat("f", i+1), "1")
	}
	return values.Encode()
}

// Names are no longer than a name in AMQP; a password may be longer.
func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	f := form{"long": strings.Repeat("n", maxName+1), "longest": strings.Repeat("n", maxName), "empty": ""}
	for field, want := range map[string]bool{"long": false, "longest": true, "empty": true, "missing": false} {
		if _, ok := f.name(field); ok != want {
			t.Errorf("%s: %v, want %v", field, ok, want)
		}
	}
	for given, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1",
		"": "invalid IP", "fe80::1%eth0": "invalid IP", "192.0.2.1:5672": "invalid IP", "192.0.2.01": "invalid IP", "localhost": "invalid IP", " 192.0.2.1": "invalid IP",
	} {
		if got := address(given).String(); got != want {
			t.Errorf("address(%q) is %s, want %s", given, got, want)
		}
	}
}

// FuzzForm looks for a form that is read and can be told in two ways.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"username=a&password=b", "username=a&username=b", "", "&&", "=", "a", "a=%00", "a=%ff", "a;b", "username=partner-00000000-0000-4000-8000-000000000000&vhost=%2f&ip=::1",
		"resource=topic&routing_key=a.b&permission=write&name=amq.topic&variable_map.username=x", "a+b=c+d", "%61=1&a=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := parse(text)
		if read == nil {
			return
		}
		if len(read) > maxFields {
			t.Fatalf("%d fields", len(read))
		}
		values := url.Values{}
		for name, value := range read {
			if !utf8.ValidString(value) {
				t.Fatalf("%q is no UTF-8", value)
			}
			values.Set(name, value)
		}
		again := parse(values.Encode())
		if len(again) != len(read) {
			t.Fatalf("%d fields, written and read again %d", len(read), len(again))
		}
		for name, value := range read {
			if again[name] != value {
				t.Fatalf("%q is %q, written and read again %q", name, value, again[name])
			}
		}
		written := 0
		for pair := range strings.SplitSeq(text, "&") {
			if pair != "" {
				written++
			}
		}
		if written != len(read) {
			t.Fatalf("%d fields were written and %d are read", written, len(read))
		}
	})
}
