package voke_test

import (
	"net/http"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// A revocation holds with its answer, and asking again changes nothing.
func TestRevoke(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	made := c.create()
	path := keysPath + "/" + made.text("apiKey", "id")
	for range 2 {
		got := c.do("DELETE", path, nil).must(http.StatusOK)
		if got.Text != `{"message":"API key revoked"}` || got.Header.Get("X-Latchkey-Effective") != "everywhere" {
			t.Errorf("the answer is %s, effective %q", got.Text, got.Header.Get("X-Latchkey-Effective"))
		}
		if v := h.verify(made.text("key"), nil); v.at("code") != "revoked" {
			t.Errorf("after it the key is %s", v.Text)
		}
	}
	id, _, _ := latchkey.ParseUUID(made.text("apiKey", "id"))
	events := c.do("GET", "/v1/events?type=key.revoked&object="+id.Native(latchkey.KindKey), nil).must(http.StatusOK)
	if len(events.at("data").([]any)) != 1 {
		t.Errorf("two revocations of one key: %s", events.Text)
	}
	upper := c.create().text("apiKey", "id")
	c.do("DELETE", keysPath+"/"+strings.ToUpper(upper), nil).must(http.StatusOK)
	withBody := c.create().text("apiKey", "id")
	c.with("Content-Type", "text/plain").do("DELETE", keysPath+"/"+withBody, "whatever").must(http.StatusOK)
}

// What is no UUID is told so; every UUID that the list would not show is one
// answer, whatever it is.
func TestRevokeUnknown(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	_, other := h.tenant()
	native := c.native(object{"name": "no partner"})
	id, err := latchkey.ParseNative(latchkey.KindKey, native.text("key", "id"))
	if err != nil {
		t.Fatal(err)
	}
	for _, malformed := range []string{"string", "1", native.text("key", "id"), id.Hex(), noUUID + "0", noUUID[1:], strings.ReplaceAll(noUUID, "-", ""), "%7B" + noUUID + "%7D", "zzzzzzzz-0000-0000-0000-000000000000", "%00"} {
		got := c.do("DELETE", keysPath+"/"+malformed, nil)
		got.refused(http.StatusBadRequest, "INVALID_UUID")
		if got.text("message") != "Invalid API key UUID" {
			t.Errorf("%s: %s", malformed, got.Text)
		}
	}
	want := c.do("DELETE", keysPath+"/497f6eca-6276-4993-bfeb-53cbbbba6f08", nil)
	want.refused(http.StatusNotFound, "API_KEY_NOT_FOUND")
	for what, unknown := range map[string]string{
		"nil": noUUID, "all ones": "ffffffff-ffff-ffff-ffff-ffffffffffff", "a key without a partner": id.UUID(), "the organization": h.org,
		"another organization's": other.create().text("apiKey", "id"),
	} {
		if got := c.do("DELETE", keysPath+"/"+unknown, nil); got.Status != want.Status || got.Text != want.Text {
			t.Errorf("%s: %d %s, not %s", what, got.Status, got.Text, want.Text)
		}
	}
	if v := h.verify(native.text("secret"), nil); v.at("valid") != true {
		t.Errorf("the key without a partner: %s", v.Text)
	}
}
