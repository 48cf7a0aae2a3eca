package lane_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/lane"
)

func doors() []lane.Door {
	return []lane.Door{
		{Method: http.MethodGet, Path: "/hot/"},
		{Method: http.MethodPost, Path: "/hot", Body: 1 << 10},
		{Method: http.MethodPost, Path: "/large", Body: 64 << 10},
	}
}

// tell answers with everything that a handler can see of a request, and does what
// the header Do asks for.
func tell(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %s %d.%d host=%q close=%t length=%d coding=%q tls=%t\n", r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor,
		r.Host, r.Close, r.ContentLength, r.TransferEncoding, r.TLS != nil)
	fmt.Fprintf(&b, "%q %q %q %t\n", r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.URL.ForceQuery)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range r.Header {
			if !yield(name) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, "%s=%q\n", name, r.Header[name])
	}
	do := r.Header.Get("Do")
	if do != "ignore" {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(&b, "body=%q error=%v\n", body, err)
	}
	h := w.Header()
	h["X-Lines"] = []string{"one", "two\r\nInjected: three", "  four "}
	h["X-Empty"] = []string{""}
	h["Not A Name"] = []string{"x"}
	switch do {
	case "nothing":
		return
	case "close":
		h.Set("Connection", "close")
	case "dated":
		h.Set("Date", "yesterday")
	case "encoded":
		h.Set("Content-Encoding", "br")
	case "typed":
		h.Set("Content-Type", "application/json")
	case "short":
		h.Set("Content-Length", "100000")
		_, _ = io.WriteString(w, "too little")
		return
	case "long":
		h.Set("Content-Length", "3")
		_, _ = io.WriteString(w, "abc")
		_, err := io.WriteString(w, "def")
		if !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
		return
	case "late":
		w.WriteHeader(http.StatusAccepted)
		h.Set("X-Late", "never sent")
		w.WriteHeader(http.StatusTeapot)
	case "panic":
		panic("as asked")
	case "abort":
		panic(http.ErrAbortHandler)
	}
	if status, err := strconv.Atoi(do); err == nil && (status < 100 || status >= 200) { // a lane sends no informational answers
		w.WriteHeader(status)
	}
	if h.Get("Content-Length") == "" && b.Len() > 1<<10 { // net/http would send chunks
		h.Set("Content-Length", strconv.Itoa(b.Len()))
	}
	_, _ = io.WriteString(w, b.String())
}

// script is a connection on which pieces come one after the other, and then the end.
type script struct {
	mu     sync.Mutex
	pieces [][]byte
	out    bytes.Buffer
	closed chan struct{}
	once   sync.Once
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pieces) > 0 && len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	s.pieces[0] = s.pieces[0][n:]
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *script) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// line is a listener to which connections are given.
type line struct {
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newLine() *line { return &line{waiting: make(chan net.Conn), closed: make(chan struct{})} }

func (l *line) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *line) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
}

// counted notes what becomes the server's.
type counted struct {
	net.Listener

	handed int
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.handed++
	}
	return conn, err
}

// converse is what a server writes when these pieces come. handed is the number of
// connections that net/http had.
func converse(t *testing.T, pieces [][]byte, through bool) (out string, handed int) {
	t.Helper()
	server := newServer(http.HandlerFunc(tell))
	clients := newLine()
	served := &counted{Listener: clients}
	var l *lane.Lane
	if through {
		l = lane.New(clients, server, doors()...)
		served.Listener = l
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(served) }()
	c := &script{pieces: pieces, closed: make(chan struct{})}
	clients.waiting <- c
	<-c.closed
	if through {
		if err := l.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return undated(c.out.String()), served.handed
}

var dates = regexp.MustCompile(`(?m)^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$`)

func undated(s string) string { return dates.ReplaceAllString(s, "Date: now\r") }

// cut cuts into pieces of a size.
func cut(text string, size int) (pieces [][]byte) {
	for piece := range slices.Chunk([]byte(text), size) {
		pieces = append(pieces, bytes.Clone(piece))
	}
	return pieces
}

// conversations are what a client may send. own says that every request in it is
// the lane's, if it comes in few pieces.
func conversations() map[string]conversation {
	const host = "Host: a.example\r\n"
	post := func(target, lines, body string) string {
		return "POST " + target + " HTTP/1.1\r\n" + host + lines + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	get := func(target, lines string) string { return "GET " + target + " HTTP/1.1\r\n" + host + lines + "\r\n" }
	all := map[string]conversation{
		"get":                      {get("/hot/1", ""), true},
		"query":                    {get("/hot/1?a=b&c=%20d", ""), true},
		"empty query":              {get("/hot/1?", ""), true},
		"fragment":                 {get("/hot/1#a", ""), true},
		"escaped path":             {get("/hot/a%2Fb", ""), true},
		"odd path":                 {get("/hot/[a]|{b}\"<>^`\\", ""), true},
		"dots":                     {get("/hot/../x", ""), true},
		"bad escape":               {get("/hot/%zz", ""), false},
		"headers":                  {get("/hot/1", "X-A: 1\r\nx-b:2\r\nX-A:\t3 \t\r\nX-Original-URI: /a b\r\nEmpty:\r\n"), true},
		"odd names":                {get("/hot/1", "!#$%&'*+-.^_`|~0aZ: 1\r\nX_A: 2\r\n"), true},
		"pragma":                   {get("/hot/1", "Pragma: no-cache\r\n"), true},
		"pragma and cache-control": {get("/hot/1", "Pragma: no-cache\r\nCache-Control: max-age=0\r\n"), true},
		"keep-alive":               {get("/hot/1", "Connection: Keep-Alive\r\n"), true},
		"close":                    {get("/hot/1", "Connection: close\r\n") + get("/hot/2", ""), true},
		"get with no length":       {get("/hot/1", "Content-Length: 0\r\n"), true},
		"host with a port":         {"GET /hot/1 HTTP/1.1\r\nHost:[::1]:8080\r\n\r\n", true},
		"host last":                {"GET /hot/1 HTTP/1.1\r\nA: b\r\nhost: a\r\n\r\n", true},
		"post":                     {post("/hot", "", `{"a":1}`), true},
		"post of nothing":          {post("/hot", "", ""), true},
		"post without a length":    {"POST /hot HTTP/1.1\r\n" + host + "\r\n", true},
		"post, close":              {post("/hot", "Connection: close\r\n", "abc") + get("/hot/1", ""), true},
		"post, body left":          {post("/hot", "Do: ignore\r\n", "abc") + get("/hot/1", ""), true},
		"post, the most":           {post("/hot", "", strings.Repeat("a", 1<<10)), true},
		"post, too much":           {post("/hot", "", strings.Repeat("a", 1<<10+1)) + get("/hot/1", ""), false},
		"post, beyond the buffer":  {post("/large", "", strings.Repeat("a", 60<<10)) + get("/hot/1", ""), true},
		"body left, beyond":        {post("/large", "Do: ignore\r\n", strings.Repeat("a", 60<<10)) + get("/hot/1", ""), true},
		"a request in a body":      {post("/hot", "", get("/hot/1", "")) + get("/hot/2", ""), true},
		"pipelined":                {get("/hot/1", "") + post("/hot", "", "abc") + get("/hot/2", "") + post("/hot", "", ""), true},
		"many":                     {strings.Repeat(get("/hot/1", "")+post("/hot", "", "abc"), 60), true},
		"hot, then not, then hot":  {get("/hot/1", "") + get("/cold", "") + get("/hot/2", ""), false},

		"cold":                     {get("/cold", ""), false},
		"the door's own path":      {get("/hot", ""), false},
		"beyond the path":          {post("/hot/1", "", "a"), false},
		"post with a query":        {post("/hot?a", "", "a"), false},
		"head":                     {"HEAD /hot/1 HTTP/1.1\r\n" + host + "\r\n", false},
		"lower-case method":        {"get /hot/1 HTTP/1.1\r\n" + host + "\r\n", false},
		"method that begins so":    {"GETS /hot/1 HTTP/1.1\r\n" + host + "\r\n", false},
		"put":                      {"PUT /hot/1 HTTP/1.1\r\n" + host + "\r\n", false},
		"options of all":           {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", false},
		"HTTP/1.0":                 {"GET /hot/1 HTTP/1.0\r\n" + host + "\r\n", false},
		"HTTP/1.0 kept":            {"GET /hot/1 HTTP/1.0\r\n" + host + "Connection: keep-alive\r\n\r\n", false},
		"HTTP/1.2":                 {"GET /hot/1 HTTP/1.2\r\n" + host + "\r\n", false},
		"HTTP/2 at once":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false},
		"lower-case protocol":      {"GET /hot/1 http/1.1\r\n" + host + "\r\n", false},
		"no protocol":              {"GET /hot/1\r\n\r\n", false},
		"absolute form":            {get("http://b.example/hot/1", ""), false},
		"two spaces":               {"GET  /hot/1 HTTP/1.1\r\n" + host + "\r\n", false},
		"space in the target":      {get("/hot/1 2", ""), false},
		"tab in the target":        {get("/hot/1\t2", ""), false},
		"NUL in the target":        {get("/hot/\x00", ""), false},
		"byte above ASCII, target": {get("/hot/\xff", ""), false},
		"space behind":             {"GET /hot/1 HTTP/1.1 \r\n" + host + "\r\n", false},
		"blank line before":        {"\r\n" + get("/hot/1", ""), false},
		"blank line behind a post": {post("/hot", "", "abc") + "\r\n" + get("/hot/1", ""), false},
		"blank line behind a get":  {get("/hot/1", "") + "\r\n" + get("/hot/1", ""), false},
		"LF alone":                 {"GET /hot/1 HTTP/1.1\nHost: a\n\n", false},
		"LF alone in a field":      {"GET /hot/1 HTTP/1.1\r\nHost: a\nB: c\r\n\r\n", false},
		"LF alone at the end":      {"GET /hot/1 HTTP/1.1\r\nHost: a\r\n\n", false},
		"CR in a value":            {get("/hot/1", "A: b\rc\r\n"), false},
		"CR at the end":            {get("/hot/1", "A: b\r\r\n"), false},
		"folded":                   {get("/hot/1", "A: b\r\n c\r\n"), false},
		"folded length":            {"POST /hot HTTP/1.1\r\n" + host + "Content-Length:\r\n 3\r\n\r\nabc" + get("/hot/1", ""), false},
		"space before the colon":   {get("/hot/1", "A : b\r\n"), false},
		"length, space before":     {"POST /hot HTTP/1.1\r\n" + host + "Content-Length : 3\r\n\r\nabc" + get("/hot/1", ""), false},
		"no name":                  {get("/hot/1", ": b\r\n"), false},
		"no colon":                 {get("/hot/1", "A\r\n"), false},
		"space before a name":      {"GET /hot/1 HTTP/1.1\r\n A: b\r\n" + host + "\r\n", false},
		"NUL in a value":           {get("/hot/1", "A: \x00\r\n"), false},
		"byte above ASCII":         {get("/hot/1", "A: \xe9\r\n"), false},
		"byte above ASCII, name":   {get("/hot/1", "\xe9: a\r\n"), false},
		"no host":                  {"GET /hot/1 HTTP/1.1\r\n\r\n", false},
		"empty host":               {"GET /hot/1 HTTP/1.1\r\nHost:\r\n\r\n", false},
		"two hosts":                {get("/hot/1", "Host: b.example\r\n"), false},
		"odd host":                 {"GET /hot/1 HTTP/1.1\r\nHost: a b\r\n\r\n", false},
		"odder host":               {"GET /hot/1 HTTP/1.1\r\nHost: a@b\r\n\r\n", false},
		"get with a body":          {get("/hot/1", "Content-Length: 3\r\n") + "abc" + get("/hot/2", ""), false},
		"lengths, the same":        {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + get("/hot/1", ""), false},
		"lengths that differ":      {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc" + get("/hot/1", ""), false},
		"lengths in a list":        {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 3, 3\r\n\r\nabc" + get("/hot/1", ""), false},
		"length with a sign":       {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: +3\r\n\r\nabc" + get("/hot/1", ""), false},
		"length below nothing":     {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: -3\r\n\r\nabc" + get("/hot/1", ""), false},
		"length in hexadecimal":    {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 0x3\r\n\r\nabc" + get("/hot/1", ""), false},
		"length with a zero":       {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 03\r\n\r\nabc" + get("/hot/1", ""), false},
		"empty length":             {"POST /hot HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n" + get("/hot/1", ""), false},
		"length beyond a number":   {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 18446744073709551619\r\n\r\nabc" + get("/hot/1", ""), false},
		"length in other spelling": {"POST /hot HTTP/1.1\r\n" + host + "cOnTeNt-LeNgTh: 3\r\n\r\nabc" + get("/hot/1", ""), true},
		"chunked":                  {"POST /hot HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get("/hot/1", ""), false},
		"chunked with a length":    {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get("/hot/1", ""), false},
		"length, then chunked":     {"POST /hot HTTP/1.1\r\n" + host + "transfer-encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + get("/hot/1", ""), false},
		"chunked, space before":    {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + get("/hot/1", ""), false},
		"chunked by a tab":         {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + get("/hot/1", ""), false},
		"coding unknown":           {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\nabc" + get("/hot/1", ""), false},
		"identity":                 {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc" + get("/hot/1", ""), false},
		"trailer":                  {post("/hot", "Trailer: A\r\n", "abc"), false},
		"expect":                   {post("/hot", "Expect: 100-continue\r\n", "abc"), false},
		"expect otherwise":         {post("/hot", "Expect: more\r\n", "abc"), false},
		"upgrade":                  {get("/hot/1", "Connection: upgrade\r\nUpgrade: h2c\r\n"), false},
		"connection names a field": {get("/hot/1", "Connection: close, Do\r\nDo: 204\r\n") + get("/hot/1", ""), false},
		"two connections":          {get("/hot/1", "Connection: keep-alive\r\nConnection: close\r\n") + get("/hot/1", ""), false},
		"empty connection":         {get("/hot/1", "Connection:\r\n"), false},
		"large header":             {get("/hot/1", "A: "+strings.Repeat("a", 9<<10)+"\r\n") + get("/hot/2", ""), false},
		"larger than all":          {get("/hot/1", "A: "+strings.Repeat("a", 32<<10)+"\r\n") + get("/hot/2", ""), false},
		"no end":                   {"GET /hot/" + strings.Repeat("a", 32<<10), false},
		"half a request line":      {"GET /hot/1 HT", false},
		"half a header":            {"GET /hot/1 HTTP/1.1\r\nHost: a", false},
		"half a body":              {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nab", true},
		"half a body, unread":      {"POST /hot HTTP/1.1\r\n" + host + "Do: ignore\r\nContent-Length: 5\r\n\r\nab", true},
		"one, and half":            {get("/hot/1", "") + "GET /hot/2 HTTP/1.1\r\nHo", false},
		"one, and half behind":     {"POST /hot HTTP/1.1\r\n" + host + "Content-Length: 1006\r\n\r\n" + strings.Repeat("a", 1006) + "GET /hot/2 HTTP/1.1\r\n", false},
		"one, and a byte":          {get("/hot/1", "") + "G", true},
		"one, and an end of line":  {get("/hot/1", "") + "\n", true},
		"one, and four bytes":      {get("/hot/1", "") + "GET ", false},
		"TLS where there is none":  {"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", false},
		"nothing":                  {"", true},
	}
	for _, do := range []string{
		"nothing", "close", "dated", "encoded", "typed", "short", "long", "late", "panic", "abort",
		"201", "204", "304", "401", "429", "500", "799",
	} {
		all["do "+do] = conversation{get("/hot/1", "Do: "+do+"\r\n") + get("/hot/2", ""), true}
	}
	return all
}

type conversation struct {
	text string
	own  bool
}

// Whatever a client sends, and in whatever pieces, it is answered as by net/http
// alone, to the byte.
func TestAnswersAreThoseOfTheServer(t *testing.T) {
	t.Parallel()
	cases := conversations()
	if len(cases) < 100 {
		t.Fatalf("%d conversations", len(cases))
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, _ := converse(t, cut(c.text, 1<<20), false)
			for _, size := range []int{1 << 20, 1000, 7, 1} {
				got, handed := converse(t, cut(c.text, size), true)
				if got != want {
					t.Errorf("in pieces of %d: %q, want %q", size, got, want)
				}
				if own := handed == 0; size == 1<<20 && own != c.own {
					t.Errorf("answered without the server: %t", own)
				}
			}
		})
	}
}

// However a conversation is cut in two, nothing changes.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	cuts := 0
	for _, name := range []string{"headers", "post", "pipelined", "a request in a body", "hot, then not, then hot", "one, and half"} {
		c := conversations()[name]
		want, _ := converse(t, cut(c.text, 1<<20), false)
		for at := range len(c.text) {
			cuts++
			got, handed := converse(t, [][]byte{[]byte(c.text[:at]), []byte(c.text[at:])}, true)
			if own := handed == 0; got != want || own != c.own {
				t.Fatalf("%s, cut at %d: answered without the server: %t, %q, want %q", name, at, own, got, want)
			}
		}
	}
	if cuts < 400 {
		t.Errorf("%d cuts", cuts)
	}
}

// FuzzConversation looks for bytes that are answered otherwise than by net/http
// alone.
func FuzzConversation(f *testing.F) {
	for _, c := range conversations() {
		if len(c.text) < 2<<10 {
			f.Add([]byte(c.text), uint16(len(c.text)/2))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint16) {
		first := min(int(at), len(data))
		want, _ := converse(t, [][]byte{bytes.Clone(data)}, false)
		got, _ := converse(t, [][]byte{bytes.Clone(data[:first]), bytes.Clone(data[first:])}, true)
		if got != want {
			t.Errorf("%q cut at %d: %q, want %q", data, first, got, want)
		}
	})
}
