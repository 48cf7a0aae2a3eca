package cycle_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/dialecttest"
)

// names are the ids in a list, in its order.
func names(a dialecttest.Answer) []string {
	a.Helper()
	ids := []string{}
	for i := range a.At("data").([]any) {
		ids = append(ids, a.String("data", i, "id"))
	}
	return ids
}

// stock is a hub with some keys, oldest first.
func stock(t *testing.T) (h house, first string, keys []string) {
	h = open(t)
	first = names(h.root(http.MethodGet, collection, nil).Must(200))[0] // the first user's own
	for _, k := range [][2]string{{"beta", "reader"}, {"Alpha", "auditor"}, {"beta", "auditor"}, {"gone", "reader"}} {
		id, _ := h.create(k[0], role(k[1]))
		keys = append(keys, id)
	}
	h.root(http.MethodDelete, collection+"/"+keys[3], nil).Must(200)
	_, native := h.Key(object{"name": "off", "role": "reader"})
	h.Native(http.MethodPatch, "/v1/keys/"+native, object{"enabled": false})
	h.Key(object{"name": "no role", "scopes": []string{"a:b"}}) // never shown
	return h, first, append(keys, hex(t, latchkey.KindKey, native))
}

func TestList(t *testing.T) {
	t.Parallel()
	h, first, keys := stock(t)
	beta, alpha, beta2, gone, off := keys[0], keys[1], keys[2], keys[3], keys[4]
	all := []string{off, beta2, alpha, beta, first}
	by := h.Authority.User.Hex()
	for query, want := range map[string][]string{
		"": all, "?": all, "?unknown=x": all, "?sort=": all, "?sort=-created": all, "?sort=-events.created": all,
		"?sort=created":           {first, beta, alpha, beta2, off},
		"?sort=name&sort=created": {alpha, first, beta, beta2, off}, "?sort=name%2Ccreated": {alpha, first, beta, beta2, off}, "?sort=name,created": {alpha, first, beta, beta2, off},
		"?sort=name,-created&filter[search]=ETA": {beta2, beta}, "?sort=-name&sort=created&filter[name]=beta": {beta, beta2},
		"?sort=state,created": {off, first, beta, alpha, beta2}, "?sort=-state.current,created": {first, beta, alpha, beta2, off},
		"?filter[state]=live": {beta2, alpha, beta, first}, "?filter[state]=inactive": {off}, "?filter[state]=deleted": {gone},
		"?filter[state]=live%2Cdeleted": {gone, beta2, alpha, beta, first}, "?filter%5Bstate%5D=live%2Cinactive": all,
		"?filter%5Bstate%5D=new,configuring,deleting": {}, "?filter[state]=new,deleted": {gone}, "?filter[state]=": all,
		"?filter[search]=alp": {alpha}, "?filter[search]=" + alpha: {alpha}, "?filter[search]=" + alpha[:20]: {}, "?filter[search]=": all,
		"?filter[name]=beta": {beta2, beta}, "?filter[name]=bet": {}, "?filter[name]=alpha": {},
		"?filter[role]=" + role("auditor"): {beta2, alpha}, "?filter[role_id]=" + role("auditor"): {beta2, alpha},
		"?filter[role_id]=" + role("auditor") + "&filter[role]=" + role("reader"): {}, "?filter[role_id]=" + role("support"): {},
		"?filter[creator]=" + by + "&filter[state]=live": {beta2, alpha, beta, first}, "?filter[creator]=" + stranger: {},
		"?page[size]=2": {off, beta2}, "?page[size]=2&page[number]=2": {alpha, beta}, "?page%5Bsize%5D=2&page%5Bnumber%5D=3": {first},
		"?page[number]=2": {}, "?page[number]=99999999999999999999": {}, "?page[size]=1000": all,
	} {
		if got := names(h.root(http.MethodGet, collection+query, nil).Must(200)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	included := h.root(http.MethodGet, collection+"?include=roles&filter[state]=live", nil).Must(200)
	if roles := included.At("includes", "roles").(object); len(roles) != 3 {
		t.Errorf("%d roles are included", len(roles))
	}
	h.root(http.MethodGet, collection+"?include=roles&filter[name]=nobody", nil).Must(200).Is(object{}, "includes", "roles")
	byID := slices.Clone(all)
	slices.Sort(byID)
	if got := names(h.root(http.MethodGet, collection+"?sort=id", nil).Must(200)); !slices.Equal(got, byID) {
		t.Errorf("by id: %v", got)
	}
	roles := names(h.root(http.MethodGet, collection+"?sort=role_id&sort=-created&filter[state]=live,inactive", nil).Must(200))
	if len(roles) != 5 {
		t.Errorf("by role: %v", roles)
	}
	h.root(http.MethodPatch, collection+"/"+beta, object{"name": "beta!"}).Must(200)
	if got := names(h.root(http.MethodGet, collection+"?sort=-updated", nil).Must(200)); got[0] != beta {
		t.Errorf("by update: %v", got)
	}
	if got := names(h.root(http.MethodGet, collection+"?sort=-events.updated", nil).Must(200)); got[0] != beta {
		t.Errorf("by update: %v", got)
	}
	// GET with a Content-Type and a bare "?", as an older client sends it.
	h.Send(dialecttest.Request{Method: http.MethodGet, Path: collection + "?", Header: []string{
		"Authorization: Bearer " + h.AdminKey, "X-Hub-Id: " + h.hub, "Content-Type: application/json",
	}}).Must(200)
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	h := open(t)
	for query, source := range map[string]string{
		"sort=secret": "sort", "sort=--name": "sort", "sort=name&sort=x": "sort", "sort=-": "sort", "sort=name,name,name,name,name,name,name,name": "sort",
		"filter=live": "filter", "filter": "filter", "filter[state": "filter", "filter[state]x=live": "filter", "filter=%5Bobject%20Object%5D": "filter",
		"filter[x]=": "filter/x", "filter[tags]=a,b": "filter/tags", "filter[identifier]=a": "filter/identifier", "filter[]=a": "filter", "filter[a][b]=c": "filter/a][b",
		"filter[state]=gone": "filter/state", "filter[state]=live,": "filter/state", "filter[state]=Live": "filter/state",
		"filter[state]=live&filter[state]=deleted": "filter/state", "filter[role]=x": "filter/role", "filter[role_id]=" + strings.ToUpper(stranger): "filter/role_id",
		"filter[creator]=x": "filter/creator", "filter[search]=" + strings.Repeat("s", 101): "filter/search", "filter[" + url.QueryEscape(strings.Repeat("é", 30)) + "]=a": "filter",
		"page=2": "page", "page[size]=0": "page/size", "page[size]=1001": "page/size", "page[size]=-1": "page/size", "page[size]=": "page/size", "page[size]=1.5": "page/size",
		"page[size]=1&page[size]=1": "page/size", "page[number]=0": "page/number", "page[number]=x": "page/number", "page[number]=1e1": "page/number",
		"page[offset]=1": "page/offset", "include=creators": "include", "%zz": "", "page[size]=1;page[number]=2": "",
	} {
		a := h.root(http.MethodGet, collection+"?"+query, nil)
		refuses(a, "422.invalid-argument", strings.TrimSuffix("/query/"+source, "/"))
		a.Must(422)
	}
	refuses(h.root(http.MethodGet, collection+"?filter[role_id]="+stranger, nil), "422.invalid-input", "/query/filter/role_id")
	both := h.root(http.MethodGet, collection+"?page[size]=0&sort=x", nil).String("error", "detail")
	if !strings.Contains(both, "/query/page/size: ") || !strings.Contains(both, "/query/sort: ") {
		t.Errorf("not all that is wrong is told: %s", both)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	h := open(t)
	own := hex(t, latchkey.KindRole, h.Native(http.MethodPost, "/v1/roles", object{
		"identifier": "ops", "name": "Ops", "rank": 3,
		"permissions": []string{"api_key:*", "role:read", "servers-view", "not-a-capability", "content:read", "api-keys-manage"},
	}).String("id"))
	keeper := hex(t, latchkey.KindRole, h.Native(http.MethodPost, "/v1/roles", object{"identifier": "keeper", "name": "Keeper", "permissions": []string{"role:*"}}).String("id"))
	all := h.root(http.MethodGet, rolesPath, nil).Must(200)
	if got := names(all); len(got) != 18 || got[0] != keeper || got[1] != own || got[2] != role("owner") {
		t.Errorf("roles %v", got)
	}
	for id, want := range map[string]object{
		role("owner"):    {"all": true, "specific": []any{}},
		role("admin"):    {"all": true, "specific": []any{}},
		role("manager"):  {"all": false, "specific": []any{"api-keys-manage"}},
		role("reader"):   {"all": false, "specific": []any{}},
		own:              {"all": false, "specific": []any{"api-keys-manage", "hubs-roles-view", "servers-view"}},
		keeper:           {"all": false, "specific": []any{"hubs-roles-view", "hubs-roles-manage"}},
		role("auditor"):  {"all": false, "specific": []any{}},
		role("consumer"): {"all": false, "specific": []any{}},
	} {
		a := h.root(http.MethodGet, rolesPath+"/"+id, nil).Must(200)
		a.Is(want, "data", "capabilities")
		a.Is(h.hub, "data", "hub_id")
	}
	owner := h.root(http.MethodGet, rolesPath+"/"+role("owner"), nil).Must(200)
	owner.Is(true, "data", "root")
	owner.Is(10.0, "data", "rank")
	owner.Is("owner", "data", "default")
	owner.Is(object{"id": h.hub, "type": "platform"}, "data", "creator")
	mine := h.root(http.MethodGet, rolesPath+"/"+own, nil).Must(200)
	mine.Is(nil, "data", "default")
	mine.Is(object{"id": h.Authority.User.Hex(), "type": "account"}, "data", "creator")
	mine.Is(false, "data", "root")
	for _, id := range []string{stranger, "x", "owner", strings.ToUpper(own)} {
		refuses(h.root(http.MethodGet, rolesPath+"/"+id, nil), "404.hub.role", "")
	}
	for query, want := range map[string][]string{
		"filter[identifier]=ops": {own}, "filter[name]=Ops": {own}, "filter[search]=OPS": {own}, "filter[search]=" + own: {own}, "filter[search]=zzz": {},
		"filter[state]=deleted": {}, "filter[state]=live,deleted&filter[identifier]=ops": {own}, "filter[creator]=" + h.Authority.User.Hex(): {keeper, own},
		"sort=-rank&page[size]=2": {role("owner"), role("admin")}, "sort=created&filter[creator]=" + h.Authority.User.Hex(): {own, keeper},
		"sort=identifier&page[size]=1&page[number]=2": {role("app_member")}, "page[number]=2": {}, "sort=-rank,name&page[size]=1&page[number]=19": {},
	} {
		if got := names(h.root(http.MethodGet, rolesPath+"?"+query, nil).Must(200)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"sort=secret", "filter[role]=x", "page[size]=1001"} {
		h.root(http.MethodGet, rolesPath+"?"+query, nil).Must(422)
	}
	company := h.Native(http.MethodPost, "/v1/organizations", object{"name": "another"}).String("id")
	theirs := h.Send(dialecttest.Request{Method: http.MethodPost, Path: "/v1/keys", Body: `{"name":"theirs","role":"owner","reach":"organization"}`, Header: []string{
		"Authorization: Bearer " + h.AdminKey, "Content-Type: application/json", "Latchkey-Organization: " + company,
	}}).Must(201).String("secret")
	other := house{h.House, hex(t, latchkey.KindOrganization, company)}
	refuses(other.as(theirs, http.MethodGet, rolesPath+"/"+own, nil), "404.hub.role", "")
	if got := names(other.as(theirs, http.MethodGet, rolesPath, nil).Must(200)); len(got) != 16 {
		t.Errorf("another hub has %d roles", len(got))
	}
	refuses(other.as(theirs, http.MethodPost, collection, object{"name": "x", "role_id": own}), "422.invalid-input", "/role_id")
	refuses(other.as(theirs, http.MethodGet, collection+"?filter[role]="+own, nil), "422.invalid-input", "/query/filter/role_id")
}
