package voke_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestListPagesWithTotals(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	empty := c.do("GET", keysPath, nil).must(http.StatusOK)
	if len(empty.ids()) != 0 || empty.Text != `{"data":[],"meta":{"page":1,"limit":20,"total":0,"totalPages":0}}` {
		t.Errorf("the list of nothing is %s", empty.Text)
	}
	var made []string
	for i := range 23 {
		made = append(made, c.create(object{"name": fmt.Sprint("key ", i)}).text("apiKey", "id"))
	}
	newest := reversed(made)
	for query, want := range map[string]struct {
		ids         []string
		page, limit int
		pages       int
	}{
		"":                                 {newest[:20], 1, 20, 2},
		"?page=2":                          {newest[20:], 2, 20, 2},
		"?limit=5":                         {newest[:5], 1, 5, 5},
		"?page=5&limit=5":                  {newest[20:], 5, 5, 5},
		"?page=6&limit=5":                  {nil, 6, 5, 5},
		"?page=3&limit=1":                  {newest[2:3], 3, 1, 23},
		"?limit=100&unknown=1":             {newest, 1, 100, 1},
		"?page=9007199254740991&limit=100": {nil, 9007199254740991, 100, 1},
	} {
		got := c.do("GET", keysPath+query, nil).must(http.StatusOK)
		meta := object{"page": float64(want.page), "limit": float64(want.limit), "total": 23.0, "totalPages": float64(want.pages)}
		if !slices.Equal(got.ids(), want.ids) || !maps.Equal(got.at("meta").(object), meta) {
			t.Errorf("%q: %v %v, not %v %v", query, got.ids(), got.at("meta"), want.ids, meta)
		}
	}
}

func TestListBounds(t *testing.T) {
	t.Parallel()
	c := open(t).admin()
	for _, value := range []string{"0", "-1", "1.5", "1.0", "abc", "", "+1", "1e1", "0x1", "%201", "１", "99999999999999999999"} {
		for name, others := range map[string][]string{"page": {"9007199254740992"}, "limit": {"101"}} {
			for _, v := range append(others, value) {
				details := c.do("GET", keysPath+"?"+name+"="+v, nil).refused(http.StatusBadRequest, "VALIDATION_ERROR")
				if len(details) != 1 || len(details[name].([]any)) != 1 {
					t.Errorf("%s=%s: details %v", name, v, details)
				}
			}
		}
	}
	details := c.do("GET", keysPath+"?page=1&page=1&limit=0", nil).refused(http.StatusBadRequest, "VALIDATION_ERROR")
	if len(details) != 2 {
		t.Errorf("two broken parameters, and details %v", details)
	}
	c.do("GET", keysPath+"?page=%zz", nil).refused(http.StatusBadRequest, "VALIDATION_ERROR")
}

// The list shows the keys that have a partner, whoever made them by whichever
// API, revoked ones included, and those of nobody else.
func TestListShowsKeysWithAPartner(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	_, other := h.tenant()
	c.native(object{"scopes": []string{"a:b"}})
	native := c.native(object{"partner": "acme", "restrictions": object{"addresses": []string{"192.0.2.1", "2001:db8::1", "10.1.2.3/8"}}})
	made := c.create().text("apiKey", "id")
	c.do("DELETE", keysPath+"/"+made, nil).must(http.StatusOK)
	got := c.do("GET", keysPath, nil).must(http.StatusOK)
	if got.at("meta", "total") != 2.0 || len(got.ids()) != 2 || got.ids()[0] != made {
		t.Fatalf("the list is %s", got.Text)
	}
	if got.at("data", 0, "isActive") != false || got.at("data", 1, "isActive") != true {
		t.Errorf("the revoked key is active, or the live one is not: %s", got.Text)
	}
	if k := got.at("data", 1).(object); k["name"] != "made natively" || k["partnerId"] != "acme" || k["keyPrefix"] != strings.TrimSuffix(native.text("key", "masked"), "...") {
		t.Errorf("a native key is shown as %v", k)
	}
	if ips := fmt.Sprint(got.at("data", 1, "allowedIps")); ips != "[192.0.2.1/32 2001:db8::1/128 10.1.2.3/8]" {
		t.Errorf("its addresses are %s", ips)
	}
	if n := len(other.do("GET", keysPath, nil).must(http.StatusOK).ids()); n != 1 {
		t.Errorf("the other organization sees %d keys", n)
	}
}

// A key that is bound to a project sees and makes keys there, and no others.
func TestListOfAProject(t *testing.T) {
	t.Parallel()
	c := open(t).admin()
	project := c.do("POST", "/v1/projects", object{"name": "Wind"}).must(http.StatusCreated).text("id")
	bound := c.as(c.native(object{"role": "owner", "project_id": project}).text("secret"))
	elsewhere, here := c.create().text("apiKey", "id"), bound.create().text("apiKey", "id")
	if got := bound.do("GET", keysPath, nil).must(http.StatusOK); !slices.Equal(got.ids(), []string{here}) || got.at("meta", "total") != 1.0 {
		t.Errorf("bound to a project it sees %s", got.Text)
	}
	if got := c.do("GET", keysPath, nil).must(http.StatusOK); !slices.Equal(got.ids(), []string{here, elsewhere}) {
		t.Errorf("the organization sees %s", got.Text)
	}
	bound.do("DELETE", keysPath+"/"+elsewhere, nil).refused(http.StatusNotFound, "API_KEY_NOT_FOUND")
}

// isActive is whether the key would authenticate.
func TestIsActive(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	active := func() any { return c.do("GET", keysPath, nil).must(http.StatusOK).at("data", 0, "isActive") }
	native := c.native(object{"partner": "acme"}).text("key", "id")
	for _, enabled := range []bool{true, false} {
		c.do("PATCH", "/v1/keys/"+native, object{"enabled": enabled}).must(http.StatusOK)
		if active() != enabled {
			t.Errorf("enabled is %v and isActive is not", enabled)
		}
	}
	expiring := c.create(object{"expiresAt": time.Now().Add(2 * time.Second).Format(time.RFC3339Nano)})
	if expiring.at("apiKey", "isActive") != true {
		t.Error("a key is inactive before its end")
	}
	for h.verify(expiring.text("key"), nil).at("valid") == true {
		time.Sleep(50 * time.Millisecond)
	}
	if active() != false {
		t.Error("an expired key is active")
	}
}

// creator is the user whose key made it, createdBy whoever did.
func TestCreator(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	shown := c.create().at("apiKey").(object)
	creator := shown["creator"].(object)
	if shown["createdBy"] != h.User.UUID() || creator["id"] != h.User.UUID() || creator["email"] != h.Email || creator["name"] != "Owner" || creator["role"] != "ADMIN" {
		t.Errorf("the owner's key made it, and it says %v by %v", creator, shown["createdBy"])
	}
	for _, stamp := range []string{"createdAt", "updatedAt"} {
		if !isMoment(creator[stamp]) {
			t.Errorf("creator.%s is %v", stamp, creator[stamp])
		}
	}
	robot := c.do("POST", "/v1/users", object{"name": "Robot", "kind": "service", "roles": []object{{"role": "developer"}}}).must(http.StatusCreated)
	creator = c.as(c.native(object{"owner_id": robot.text("id"), "role": "owner", "reach": "organization"}).text("secret")).create().at("apiKey", "creator").(object)
	if creator["email"] != "" || creator["role"] != "USER" || creator["name"] != "Robot" {
		t.Errorf("a service account made it, and it says %v", creator)
	}
	loose := c.native(object{"role": "owner", "reach": "organization"})
	shown = c.as(loose.text("secret")).create().at("apiKey").(object)
	listed := c.do("GET", keysPath, nil).must(http.StatusOK).at("data", 0).(object)
	for _, k := range []object{shown, listed} {
		if k["creator"] != nil || k["createdBy"] == noUUID || len(k["createdBy"].(string)) != len(noUUID) {
			t.Errorf("a key without an owner made it, and it says %v by %v", k["creator"], k["createdBy"])
		}
	}
	c.do("DELETE", "/v1/users/"+robot.text("id")+"?revoke_keys=true", nil).must(http.StatusOK)
	gone := c.do("GET", keysPath, nil).must(http.StatusOK).at("data", 1).(object)
	if gone["creator"] != nil || len(gone["createdBy"].(string)) != len(noUUID) {
		t.Errorf("the user who made it is gone, and it says %v", gone)
	}
}

// lastUsedAt is null until the key is used.
func TestLastUsedAt(t *testing.T) {
	t.Parallel()
	h := open(t)
	c := h.admin()
	made := c.create()
	if made.at("apiKey", "lastUsedAt") != nil {
		t.Error("a new key was used")
	}
	h.verify(made.text("key"), nil)
	for {
		if used := c.do("GET", keysPath, nil).must(http.StatusOK).at("data", 0, "lastUsedAt"); used != nil {
			if !isMoment(used) {
				t.Errorf("lastUsedAt is %v", used)
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func isMoment(v any) bool {
	s, _ := v.(string)
	_, err := time.Parse("2006-01-02T15:04:05.000Z", s)
	return err == nil
}
