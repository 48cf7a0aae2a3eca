package cycle_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/dialect/dialecttest"
)

// goKey and goEnvelope are what a Go client that is generated from the vendor's
// specification decodes into.
type goKey struct {
	ID      string `json:"id"`
	HubID   string `json:"hub_id"`
	Name    string `json:"name"`
	Creator struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	} `json:"creator"`
	Secret string    `json:"secret"`
	RoleID string    `json:"role_id"`
	IPs    *[]string `json:"ips"`
	State  struct {
		Changed time.Time `json:"changed"`
		Current string    `json:"current"`
	} `json:"state"`
	Events struct {
		Created time.Time `json:"created"`
		Updated time.Time `json:"updated"`
		Deleted time.Time `json:"deleted"`
	} `json:"events"`
}

type goEnvelope struct {
	Data  map[string]any `json:"data"`
	Error struct {
		Code   string  `json:"code"`
		Status int     `json:"status"`
		Title  string  `json:"title"`
		Source *string `json:"source"`
	} `json:"error"`
}

// goInput is its body of a creation and of an update: ips has no omitempty.
type goInput struct {
	Name   *string   `json:"name,omitempty"`
	RoleID *string   `json:"role_id,omitempty"`
	IPs    *[]string `json:"ips"`
}

// goAnswer decodes as that client does: a success by its exact status and by
// Content-Type, anything else as an error.
func goAnswer[T any](t *testing.T, a dialecttest.Answer, status int) (out T, failed *goEnvelope) {
	t.Helper()
	if !strings.Contains(a.Header.Get("Content-Type"), "json") {
		t.Fatalf("%s: neither success nor error is read from %q", a.Asked, a.Header.Get("Content-Type"))
	}
	if a.Status == status {
		var document struct {
			Data T `json:"data"`
		}
		if err := json.Unmarshal([]byte(a.Text), &document); err != nil {
			t.Fatalf("%s: %v: %s", a.Asked, err, a.Text)
		}
		return document.Data, nil
	}
	failed = &goEnvelope{}
	if err := json.Unmarshal([]byte(a.Text), failed); err != nil || failed.Error.Status != a.Status || failed.Data != nil {
		t.Fatalf("%s: %v: %s", a.Asked, err, a.Text)
	}
	return out, failed
}

func TestGoClient(t *testing.T) {
	t.Parallel()
	h := open(t)
	name, reader := "from go", role("reader")
	made, failed := goAnswer[goKey](t, h.root(http.MethodPost, collection, goInput{&name, &reader, &[]string{"192.0.2.0/24"}}), 201)
	if failed != nil || made.Name != name || made.IPs == nil || !made.Events.Updated.IsZero() || !made.Events.Deleted.IsZero() || made.Events.Created.IsZero() {
		t.Fatalf("%+v %+v", made, failed)
	}
	// sort explodes, deepObject parameters have encoded brackets.
	query := "sort=-name&sort=id&" + url.Values{"filter[state]": {"live"}, "filter[search]": {"FROM"}, "page[number]": {"1"}, "page[size]": {"20"}}.Encode()
	list, failed := goAnswer[[]goKey](t, h.root(http.MethodGet, collection+"?"+query, nil), 200)
	if failed != nil || len(list) != 1 || list[0].ID != made.ID {
		t.Fatalf("%+v %+v", list, failed)
	}
	one, failed := goAnswer[goKey](t, h.root(http.MethodGet, collection+"/"+made.ID+"?include=roles", nil), 200)
	if failed != nil || one.RoleID != reader || one.State.Current != "live" {
		t.Fatalf("%+v %+v", one, failed)
	}
	renamed := "renamed"
	changed, failed := goAnswer[goKey](t, h.root(http.MethodPatch, collection+"/"+made.ID, goInput{Name: &renamed}), 200)
	if failed != nil || changed.Name != renamed || changed.IPs != nil || changed.Events.Updated.IsZero() {
		t.Fatalf("a renaming by this client lifts the addresses: %+v %+v", changed, failed)
	}
	events := h.Native(http.MethodGet, "/v1/events?type=key.updated", nil).Text
	if !strings.Contains(events, `"addresses":{"from":["192.0.2.0/24"],"to":null}`) {
		t.Errorf("no event tells that the addresses were lifted: %s", events)
	}
	gone, failed := goAnswer[goKey](t, h.root(http.MethodDelete, collection+"/"+made.ID, nil), 200)
	if failed != nil || gone.State.Current != "deleted" || gone.Events.Deleted.IsZero() {
		t.Fatalf("%+v %+v", gone, failed)
	}
	if _, failed = goAnswer[goKey](t, h.root(http.MethodDelete, collection+"/"+made.ID, nil), 200); failed == nil || failed.Error.Code != "404.hub.api-key" {
		t.Fatalf("%+v", failed)
	}
	_, failed = goAnswer[goKey](t, h.root(http.MethodPost, collection, goInput{Name: &name}), 201)
	if failed == nil || failed.Error.Source == nil || *failed.Error.Source != "/role_id" {
		t.Fatalf("%+v", failed)
	}
}
