package voke_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"latchkey.dev/latchkey/latchkeytest"
	"latchkey.dev/latchkey/server"
	"latchkey.dev/latchkey/store"
)

// Bodies that cannot be read are BAD_REQUEST, whatever is wrong with them.
func TestUnreadableBodies(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	deep := strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)
	for name, body := range map[string]string{
		"empty": "", "no JSON": "name=x", "cut off": `{"name":"x"`, "null": "null", "an array": "[]", "a string": `"x"`, "a number": "1",
		"a duplicate member": `{"name":"a","name":"b","partnerId":"p","scopes":["x"]}`, "a duplicate below": `{"x":{"a":1,"a":2}}`,
		"invalid UTF-8": "{\"name\":\"\xff\"}", "half a surrogate": `{"name":"\ud800"}`, "trailing data": `{} {}`, "too deep": deep,
		"too large": `{"name":"` + strings.Repeat("x", 64<<10) + `"}`,
	} {
		got := c.do("POST", keysPath, body)
		got.refused(http.StatusBadRequest, "BAD_REQUEST")
		if got.text("message") == "" {
			t.Errorf("%s: no message", name)
		}
	}
	good := `{"name":"x","partnerId":"p","scopes":["x"],"anything":{"else":[null]}}`
	for _, contentType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/vnd.api+json", ""} {
		c.with("Content-Type", contentType).do("POST", keysPath, good).refused(http.StatusBadRequest, "BAD_REQUEST")
	}
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON"} {
		c.with("Content-Type", contentType).do("POST", keysPath, good).must(http.StatusCreated)
	}
	c.with("Content-Encoding", "gzip").do("POST", keysPath, good).refused(http.StatusBadRequest, "BAD_REQUEST")
	padded := good[:len(good)-1] + strings.Repeat(" ", 64<<10-len(good)) + "}"
	c.do("POST", keysPath, padded).must(http.StatusCreated)
	c.do("POST", keysPath, padded+" ").refused(http.StatusBadRequest, "BAD_REQUEST")
}

// Methods and paths that are not offered are NOT_FOUND, in this form.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	id := c.create().text("apiKey", "id")
	for method, paths := range map[string][]string{
		"PUT": {keysPath, keysPath + "/" + id}, "PATCH": {keysPath, keysPath + "/" + id}, "GET": {keysPath + "/" + id, keysPath + "/", "/api/v1/partner/", "/api/v1/partner/keys", "/api/v1/partner//api-keys", "/api/v1/partner/../partner/api-keys"},
		"POST": {keysPath + "/" + id, keysPath + "/" + id + "/rotate"}, "DELETE": {keysPath, keysPath + "/" + id + "/x"}, "OPTIONS": {keysPath},
	} {
		for _, path := range paths {
			got := c.do(method, path, nil)
			got.refused(http.StatusNotFound, "NOT_FOUND")
			caller{h, http.Header{}}.do(method, path, nil).refused(http.StatusNotFound, "NOT_FOUND")
		}
	}
}

// broken is a store that can be told to fail.
type broken struct {
	store.Store

	fault atomic.Pointer[error]
}

func (b *broken) failing() error {
	if err := b.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// CountKeys implements store.Keys.
func (b *broken) CountKeys(ctx context.Context, q store.KeyQuery) (int64, error) {
	if err := b.failing(); err != nil {
		return 0, err
	}
	return b.Store.CountKeys(ctx, q)
}

// Submit implements store.Submitter.
func (b *broken) Submit(ctx context.Context, c store.Change) (int64, error) {
	if err := b.failing(); err != nil {
		return 0, err
	}
	return b.Store.Submit(ctx, c)
}

// A fault of ours is told as one, and its cause is not.
func TestFaults(t *testing.T) {
	t.Parallel()
	h := &house{TB: t}
	var b *broken
	h.Authority = latchkeytest.Start(t, latchkeytest.Options{Adjust: func(c *server.Config) {
		next := c.OpenStore
		c.OpenStore = func(ctx context.Context, data string) (store.Store, error) {
			s, err := next(ctx, data)
			b = &broken{Store: s}
			return b, err
		}
	}})
	c := h.admin()
	id := c.create().text("apiKey", "id")
	for _, fault := range []struct {
		err     error
		status  int
		code    string
		message string
	}{
		{fmt.Errorf("%w: disk canary", store.ErrUnavailable), http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", ""},
		{store.ErrUncertain, http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", ""},
		{errors.New("a canary"), http.StatusInternalServerError, "INTERNAL_SERVER_ERROR", "Internal server error"},
	} {
		b.fault.Store(&fault.err)
		for _, got := range []answer{c.do("GET", keysPath, nil), c.do("POST", keysPath, valid()), c.do("DELETE", keysPath+"/"+id, nil)} {
			got.refused(fault.status, fault.code)
			if strings.Contains(got.Text, "canary") || fault.message != "" && got.text("message") != fault.message {
				t.Errorf("told as %s", got.Text)
			}
			if fault.status == http.StatusServiceUnavailable && got.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		b.fault.Store(nil)
	}
	if n := len(c.do("GET", keysPath, nil).must(http.StatusOK).ids()); n != 1 {
		t.Errorf("%d keys after creations that failed", n)
	}
}

// An organization with as many keys as it may have is told so.
func TestLimitOfKeys(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().do("POST", "/v1/organizations", object{"name": "Small"}).must(http.StatusCreated)
	h.admin().do("PATCH", "/v1/organizations/"+made.text("id"), object{"limits": object{"keys": 2}}).must(http.StatusOK)
	c := h.as(h.admin().with("Latchkey-Organization", made.text("id")).native(object{"role": "owner", "reach": "organization"}).text("secret"))
	c.create()
	c.do("POST", keysPath, valid()).refused(http.StatusConflict, "CONFLICT")
}
