package rest_test

import (
	"testing"
)

// The main job, as the README tells it.
func TestKeyIsCreatedVerifiedRotatedRevoked(t *testing.T) {
	h := open(t)
	root := h.as(h.root)
	made := root.do("POST", "/v1/keys", object{"name": "Ada's", "scopes": []string{"docs:read"}}).must(201)
	id, key := made.text("key", "id"), made.text("secret")
	if code := root.verify(key, object{"scopes": []string{"docs:read"}}); code != "valid" {
		t.Fatalf("verdict %s", code)
	}
	if code := root.verify(key, object{"scopes": []string{"docs:write"}}); code != "insufficient_scope" {
		t.Fatalf("verdict %s", code)
	}
	rotated := root.do("POST", "/v1/keys/"+id+"/rotate", object{"overlap": "1h"}).must(200)
	next := rotated.text("secret")
	if rotated.text("key", "id") != id || rotated.at("key", "rotation") == nil {
		t.Fatalf("rotated: %s", rotated.Text)
	}
	for _, k := range []string{key, next} {
		v := root.do("POST", "/v1/keys/verify", object{"key": k}).must(200)
		if v.text("code") != "valid" || v.text("key_id") != id {
			t.Fatalf("during the rotation: %s", v.Text)
		}
	}
	root.do("POST", "/v1/keys/"+id+"/revoke", object{"reason": "done"}).must(200)
	for _, k := range []string{key, next} {
		if code := root.verify(k, nil); code != "revoked" {
			t.Fatalf("verdict %s", code)
		}
	}
	if h.answers.Load() < 8 {
		t.Fatalf("only %d answers were held against the document", h.answers.Load())
	}
}
