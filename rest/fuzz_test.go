package rest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzRequest sends anything to any operation, from whoever may do everything.
// Nothing is a fault of ours, and every answer is what the document says.
func FuzzRequest(f *testing.F) {
	h := open(f)
	handler := h.api.SocketHandler()
	routes := h.routes()
	k := h.operatorSocket().newKey(object{"name": "For the fuzzer"})
	known := map[string]string{
		"keys": k.id, "projects": k.text("key", "project_id"), "organizations": k.text("key", "organization_id"), "roles": "owner",
		"users": h.operator.Owner.Native("usr"), "keyring": "1",
	}
	for i, r := range routes {
		id := ""
		if parts := strings.Split(r.path, "/"); len(parts) > 2 {
			id = known[parts[2]]
		}
		f.Add(uint8(i), id, "", []byte(`{`))
		f.Add(uint8(i), "%00", "limit=1&cursor=AAEi", []byte(`{"nonsense":1}`))
		if r.RequestBody != nil {
			text, err := json.Marshal(bodies[r.OperationID])
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), id, "", text)
		}
	}
	f.Add(uint8(0), "", "search=%ff%00&sort=-name&state=live", []byte(nil))
	f.Add(uint8(0), "", "after=9223372036854775807&everywhere=true&type=key.created", []byte(nil))
	f.Fuzz(func(t *testing.T, operation uint8, id, query string, body []byte) {
		outer := h.TB
		h.TB = t
		defer func() { h.TB = outer }()
		r := routes[int(operation)%len(routes)]
		path := r.to(url.PathEscape(id))
		plain, err := url.PathUnescape(path)
		if err != nil {
			t.Fatal(err)
		}
		in := &http.Request{
			Method: r.method, URL: &url.URL{Path: plain, RawPath: path, RawQuery: query}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, Body: http.NoBody, Host: "authority", RemoteAddr: "192.0.2.1:1", RequestURI: path,
		}
		if r.RequestBody != nil {
			in.Header.Set("Content-Type", "application/json")
			in.ContentLength = int64(len(body))
			in.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
			in.Body, _ = in.GetBody()
		}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, in.WithContext(t.Context()))
		a := answer{h: h, Status: rec.Code, Header: rec.Header(), Text: rec.Body.String()}
		_ = json.Unmarshal(rec.Body.Bytes(), &a.JSON)
		if a.Status >= 500 {
			t.Fatalf("%s %s?%s %q: %d %s", r.method, path, query, body, a.Status, a.Text)
		}
		h.conforms(in, rec.Result(), rec.Body.Bytes())
		a.keepsTheProtocol(in)
		if slices.Contains([]int{301, 302, 307, 308}, a.Status) {
			t.Errorf("it leads to %s", a.Header.Get("Location"))
		}
	})
}
