package body_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/body"
)

const limit = 1000

type outcome struct {
	data []byte
	err  error
}

// door is a real server whose handler hands on what Read gave it.
func door(t *testing.T, opts ...body.Option) (*httptest.Server, <-chan outcome) {
	t.Helper()
	read := make(chan outcome, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := body.Read(w, r, limit, opts...)
		read <- outcome{data, err}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	server.Config.ReadTimeout = 500 * time.Millisecond // what a body that never ends runs into
	server.Start()
	t.Cleanup(server.Close)
	return server, read
}

// raw speaks HTTP/1.1 by hand, so that it can say what no client would.
func raw(t *testing.T, server *httptest.Server, request string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

func post(header, content string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", header, len(content), content)
}

func chunked(header string, chunks ...string) string {
	var b strings.Builder
	b.WriteString("POST / HTTP/1.1\r\nHost: a\r\n" + header + "Transfer-Encoding: chunked\r\n\r\n")
	for _, c := range append(chunks, "") {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(c), c)
	}
	return b.String()
}

func TestReadHeader(t *testing.T) {
	t.Parallel()
	const plain = "Content-Type: application/json\r\n"
	for name, c := range map[string]struct {
		header string
		opts   body.Option
		code   latchkey.ErrorCode
	}{
		"plain":                       {header: plain},
		"charset":                     {header: "Content-Type: application/json; charset=utf-8\r\n"},
		"charset, quoted, capitals":   {header: "content-type: Application/JSON;charset=\"UTF-8\"\r\n"},
		"identity":                    {header: plain + "Content-Encoding: Identity\r\n"},
		"plain, may be missing":       {header: plain, opts: body.MissingContentType},
		"missing":                     {header: "", code: latchkey.CodeUnsupportedMediaType},
		"missing, may be":             {header: "", opts: body.MissingContentType},
		"empty":                       {header: "Content-Type:\r\n", code: latchkey.CodeUnsupportedMediaType},
		"empty, may be missing":       {header: "Content-Type:\r\n", opts: body.MissingContentType, code: latchkey.CodeUnsupportedMediaType},
		"text":                        {header: "Content-Type: text/plain\r\n", opts: body.MissingContentType, code: latchkey.CodeUnsupportedMediaType},
		"form":                        {header: "Content-Type: application/x-www-form-urlencoded\r\n", code: latchkey.CodeUnsupportedMediaType},
		"a body may be empty, is not": {header: "Content-Type: text/plain\r\n", opts: body.EmptyBody, code: latchkey.CodeUnsupportedMediaType},
		"problem":                     {header: "Content-Type: application/problem+json\r\n", code: latchkey.CodeUnsupportedMediaType},
		"prefix":                      {header: "Content-Type: application/jsonp\r\n", code: latchkey.CodeUnsupportedMediaType},
		"another charset":             {header: "Content-Type: application/json; charset=utf-16\r\n", code: latchkey.CodeUnsupportedMediaType},
		"two charsets":                {header: "Content-Type: application/json; charset=utf-8; charset=utf-16\r\n", code: latchkey.CodeUnsupportedMediaType},
		"another parameter":           {header: "Content-Type: application/json; version=1\r\n", code: latchkey.CodeUnsupportedMediaType},
		"one parameter more":          {header: "Content-Type: application/json; charset=utf-8; version=1\r\n", code: latchkey.CodeUnsupportedMediaType},
		"broken parameter":            {header: "Content-Type: application/json; charset\r\n", code: latchkey.CodeUnsupportedMediaType},
		"a list":                      {header: "Content-Type: application/json, text/plain\r\n", code: latchkey.CodeUnsupportedMediaType},
		"twice":                       {header: plain + plain, code: latchkey.CodeUnsupportedMediaType},
		"twice, different":            {header: plain + "Content-Type: text/plain\r\n", opts: body.MissingContentType, code: latchkey.CodeUnsupportedMediaType},
		"gzip":                        {header: plain + "Content-Encoding: gzip\r\n", code: latchkey.CodeUnsupportedMediaType},
		"gzip, no type":               {header: "Content-Encoding: gzip\r\n", opts: body.MissingContentType, code: latchkey.CodeUnsupportedMediaType},
		"a coding twice":              {header: plain + "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", code: latchkey.CodeUnsupportedMediaType},
		"an empty coding":             {header: plain + "Content-Encoding:\r\n", code: latchkey.CodeUnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, read := door(t, c.opts)
			raw(t, server, post(c.header, `{"a":1}`))
			got := <-read
			if c.code != "" {
				refusal(t, got.err, c.code)
				if got.data != nil && c.opts&body.EmptyBody == 0 {
					t.Error("data came with the refusal")
				}
			} else if got.err != nil || string(got.data) != `{"a":1}` {
				t.Errorf("%q, error %v", got.data, got.err)
			}
		})
	}
}

func TestReadLength(t *testing.T) {
	t.Parallel()
	const plain = "Content-Type: application/json\r\n"
	full, over := strings.Repeat("x", limit), strings.Repeat("x", limit+1)
	for name, c := range map[string]struct {
		request string
		opts    body.Option
		want    string
		code    latchkey.ErrorCode
		rule    string
	}{
		"at the limit":              {request: post(plain, full), want: full},
		"at the limit, chunked":     {request: chunked(plain, full[:400], full[400:]), want: full},
		"over":                      {request: post(plain, over), code: latchkey.CodeTooLarge},
		"over, not one byte sent":   {request: "POST / HTTP/1.1\r\nHost: a\r\n" + plain + "Content-Length: 9223372036854775807\r\n\r\n", code: latchkey.CodeTooLarge},
		"over, chunked":             {request: chunked(plain, full, "x"), code: latchkey.CodeTooLarge},
		"over, one chunk":           {request: chunked(plain, strings.Repeat("x", 1<<20)), code: latchkey.CodeTooLarge},
		"over and of another type":  {request: post("Content-Type: text/plain\r\n", over), code: latchkey.CodeUnsupportedMediaType},
		"over, may be empty":        {request: post(plain, over), opts: body.EmptyBody, code: latchkey.CodeTooLarge},
		"empty":                     {request: post(plain, ""), want: ""},
		"empty, may be":             {request: post("", ""), opts: body.EmptyBody, want: ""},
		"empty, may be, typed":      {request: post("Content-Type: text/plain\r\n", ""), opts: body.EmptyBody, want: ""},
		"empty, may be, chunked":    {request: chunked(""), opts: body.EmptyBody, want: ""},
		"empty, no type":            {request: post("", ""), code: latchkey.CodeUnsupportedMediaType},
		"a broken chunk":            {request: chunked(plain)[:len(chunked(plain))-5] + "zz\r\n", code: latchkey.CodeMalformedBody, rule: body.RuleIncomplete},
		"never ends":                {request: "POST / HTTP/1.1\r\nHost: a\r\n" + plain + "Content-Length: 100\r\n\r\n{", code: latchkey.CodeMalformedBody, rule: body.RuleIncomplete},
		"never ends, chunked":       {request: strings.TrimSuffix(chunked(plain, "{"), "0\r\n\r\n"), code: latchkey.CodeMalformedBody, rule: body.RuleIncomplete},
		"never begins, may be none": {request: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", opts: body.EmptyBody, code: latchkey.CodeMalformedBody, rule: body.RuleIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, read := door(t, c.opts)
			raw(t, server, c.request)
			got := <-read
			if c.code == "" {
				if got.err != nil || string(got.data) != c.want {
					t.Errorf("%d bytes, error %v", len(got.data), got.err)
				}
				return
			}
			refused := refusal(t, got.err, c.code)
			if got.data != nil {
				t.Errorf("%d bytes came with the refusal", len(got.data))
			}
			if c.rule != "" && (refused.Fields[0].Code != c.rule || refused.Cause == nil) {
				t.Errorf("%s because of %v, want %s", refused.Fields[0].Code, refused.Cause, c.rule)
			}
		})
	}
}

func TestReadEarlyClose(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"declared": "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"chunked":  "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, read := door(t)
			conn := raw(t, server, request)
			if err := conn.CloseWrite(); err != nil { // half of it, so that the answer can be seen
				t.Fatal(err)
			}
			refused := refusal(t, (<-read).err, latchkey.CodeMalformedBody)
			if refused.Fields[0].Code != body.RuleIncomplete || !errors.Is(refused, io.ErrUnexpectedEOF) {
				t.Errorf("%s because of %v", refused.Fields[0].Code, refused.Cause)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || answer.StatusCode != http.StatusBadRequest {
				t.Errorf("answer %v, error %v", answer, err)
			}
		})
	}
}

// A client that waits for "100 Continue" is refused without being asked for a
// body that is announced as too large, or of the wrong type.
func TestReadRefusesBeforeContinue(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"too large": "Content-Type: application/json\r\nContent-Length: 1001\r\n",
		"wrong":     "Content-Type: text/plain\r\nContent-Length: 10\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, read := door(t)
			conn := raw(t, server, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"+header+"\r\n")
			if (<-read).err == nil {
				t.Error("not refused")
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || answer.StatusCode != http.StatusBadRequest {
				t.Errorf("answer %v, error %v, want the refusal alone", answer, err)
			}
		})
	}
}

func TestReadCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	pipe, _ := io.Pipe()
	_ = pipe.CloseWithError(net.ErrClosed)
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", pipe)
	r.Header.Set("Content-Type", "application/json")
	_, err := body.Read(httptest.NewRecorder(), r, limit)
	refused := refusal(t, err, latchkey.CodeMalformedBody)
	if !errors.Is(err, context.Canceled) || refused.Fields[0].Code != body.RuleIncomplete {
		t.Errorf("%v does not wrap the context's error", err)
	}
}

func TestReadThenDecode(t *testing.T) {
	t.Parallel()
	for in, code := range map[string]string{
		"":               body.RuleEmpty,
		`{"name":`:       body.RuleSyntax,
		`{"name":"a"}{}`: body.RuleTrailing,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewBufferString(in))
		r.Header.Set("Content-Type", "application/json")
		data, err := body.Read(httptest.NewRecorder(), r, body.MaxManagement)
		if err != nil {
			t.Fatal(err)
		}
		if field := refusal(t, body.Decode(data, new(creation)), latchkey.CodeMalformedBody).Fields[0]; field.Code != code {
			t.Errorf("%q: %s, want %s", in, field.Code, code)
		}
	}
}
