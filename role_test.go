package latchkey_test

import (
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

// goldenRole is a row of testdata/builtin-roles.json, which was written from the
// published table of roles. Ids and permissions there are stored in customers'
// databases and written into their configuration: a change breaks them.
type goldenRole struct {
	Identifier  string               `json:"identifier"`
	Name        string               `json:"name"`
	Rank        int                  `json:"rank"`
	Native      string               `json:"native"`
	Hex         string               `json:"hex"`
	UUID        string               `json:"uuid"`
	Count       int                  `json:"count"`
	Permissions latchkey.Permissions `json:"permissions"`
}

func sorted(ps latchkey.Permissions) latchkey.Permissions { return slices.Sorted(slices.Values(ps)) }

func TestBuiltinRolesEqualGoldenTable(t *testing.T) {
	golden := readJSON[[]goldenRole](t, "testdata/builtin-roles.json")
	roles := latchkey.BuiltinRoles()
	if len(roles) != 16 || len(golden) != 16 {
		t.Fatalf("%d roles, %d in the table, want 16", len(roles), len(golden))
	}
	for i, want := range golden {
		got := roles[i]
		if got.Identifier != want.Identifier || got.Name != want.Name || got.Rank != want.Rank {
			t.Errorf("role %d is %s, %q, rank %d; want %s, %q, rank %d", i, got.Identifier, got.Name, got.Rank, want.Identifier, want.Name, want.Rank)
		}
		if ids := []string{got.ID.Native(latchkey.KindRole), got.ID.Hex(), got.ID.UUID()}; !slices.Equal(ids, []string{want.Native, want.Hex, want.UUID}) {
			t.Errorf("%s has the id %q, want %s", want.Identifier, ids, want.Native)
		}
		if len(got.Permissions) != want.Count || !slices.Equal(sorted(got.Permissions), sorted(want.Permissions)) {
			t.Errorf("%s holds %q\nwant %q", want.Identifier, got.Permissions, want.Permissions)
		}
		if !got.Builtin() || got.Deleted() || got.Powers().Rank != want.Rank || !slices.Equal(got.Powers().Permissions, got.Permissions) {
			t.Errorf("%s is %+v", want.Identifier, got)
		}
	}
}

func TestBuiltinRolesAreFound(t *testing.T) {
	for _, want := range latchkey.BuiltinRoles() {
		if got, ok := latchkey.BuiltinRole(want.Identifier); !ok || got.ID != want.ID || got.Rank != want.Rank {
			t.Errorf("%s is found as %+v, %t", want.Identifier, got, ok)
		}
		if got, ok := latchkey.BuiltinRoleByID(want.ID); !ok || got.Identifier != want.Identifier {
			t.Errorf("the id of %s is found as %+v, %t", want.Identifier, got, ok)
		}
	}
	for _, unknown := range []string{"", "Owner", "owner ", "root"} {
		if got, ok := latchkey.BuiltinRole(unknown); ok || got.Identifier != "" {
			t.Errorf("%q is found as %+v", unknown, got)
		}
	}
	for _, unknown := range []latchkey.ID{{}, {0: 1}} {
		if got, ok := latchkey.BuiltinRoleByID(unknown); ok || got.Identifier != "" {
			t.Errorf("%x is found as %+v", unknown, got)
		}
	}
	if (latchkey.Role{Organization: latchkey.ID{0: 1}}).Builtin() {
		t.Error("the role of an organization is taken for a built-in one")
	}
}

func TestVertesiaPermissionsArePublished(t *testing.T) {
	published := latchkey.VertesiaPermissions()
	if len(published) != 38 {
		t.Errorf("%d permissions, want 38", len(published))
	}
	for i, p := range published {
		if latchkey.CheckPermission(string(p)) != nil || slices.Contains(published[:i], p) {
			t.Errorf("%q is malformed or there twice", p)
		}
	}
	for _, role := range latchkey.BuiltinRoles() {
		for _, p := range role.Permissions {
			if p != latchkey.Everything && !slices.Contains(published, p) {
				t.Errorf("%s holds %q, which is not published", role.Identifier, p)
			}
		}
		if !role.Permissions.Hold("account:member") {
			t.Errorf("%s is not a member", role.Identifier)
		}
	}
}

// Who holds which of the permissions that open operations here. Every permission
// that is declared must be in this table.
func TestBuiltinRolesOpenLittle(t *testing.T) {
	all := []string{"owner", "admin", "manager", "developer", "content_superadmin"}
	holders := map[latchkey.Permission][]string{
		latchkey.KeyRead: append([]string{"auditor", "support"}, all...), latchkey.KeyCreate: all, latchkey.KeyUpdate: all,
		latchkey.KeyDelete: all, latchkey.KeySecretRead: all,
	}
	onlyStrongest := []string{"owner", "admin"}
	for _, p := range declared[latchkey.Permission](t, "Permission") {
		want, ok := holders[p]
		if !ok {
			want = onlyStrongest
		}
		for _, role := range latchkey.BuiltinRoles() {
			if got := role.Permissions.Hold(p); got != slices.Contains(want, role.Identifier) {
				t.Errorf("%s holds %s: %t", role.Identifier, p, got)
			}
			if !slices.Contains(onlyStrongest, role.Identifier) && role.Permissions.MayGive(p) != role.Permissions.Hold(p) {
				t.Errorf("%s may give %s without holding it", role.Identifier, p)
			}
		}
	}
}

// What a caller does to the roles that it was given reaches nobody else.
func TestBuiltinRolesAreNotShared(t *testing.T) {
	for i, role := range latchkey.BuiltinRoles() {
		_ = append(role.Permissions, "first")
		second := append(role.Permissions, "second")
		third := append(latchkey.BuiltinRoles()[i].Permissions, "third")
		if second[len(second)-1] != "second" || third[len(third)-1] != "third" {
			t.Errorf("%s: appended permissions land in one array", role.Identifier)
		}
	}
	latchkey.BuiltinRoles()[0].Rank = 0
	if latchkey.BuiltinRoles()[0].Rank != latchkey.MaxRank {
		t.Error("a caller changed the owner's rank")
	}
}

func TestCheckRoleIdentifier(t *testing.T) {
	for s, want := range map[string]string{
		"ab": "", "a-b_c9": "", "zookeeper": "", strings.Repeat("a", 64): "",
		"": "length", "a": "length", strings.Repeat("a", 65): "length",
		"9a": "format", "-a": "format", "_a": "format", "Ab": "format", "aB": "format", "a b": "format", "aé": "format", "a\n": "format", "a:b": "format",
		"owner": "taken", "content_superadmin": "taken", "member": "taken",
	} {
		switch broken := latchkey.CheckRoleIdentifier(s); {
		case broken == nil && want != "":
			t.Errorf("%q is accepted, want %s", s, want)
		case broken != nil && broken.Code != want:
			t.Errorf("%q: %s, want %q", s, broken.Code, want)
		}
	}
}

func TestPrincipalString(t *testing.T) {
	id, err := latchkey.ParseHex("6563c2805a17c0de01234567")
	if err != nil {
		t.Fatal(err)
	}
	for want, principal := range map[string]latchkey.Principal{
		"usr_0sb3ra05m5y0vr0j6hb7": {Kind: latchkey.PrincipalUser, ID: id},
		"key_0sb3ra05m5y0vr0j6hb7": {Kind: latchkey.PrincipalKey, ID: id},
		"system":                   {Kind: latchkey.PrincipalSystem},
		"":                         {},
	} {
		if got := principal.String(); got != want {
			t.Errorf("%+v is %q, want %q", principal, got, want)
		}
	}
}
