package rest_test

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

// tenancy is an organization with what an attacker would reach for: two
// projects, and makers of whatever else. It is made through the authority, so
// that nothing about it depends on the API that is tested.
type tenancy struct {
	h      *house
	id     latchkey.ID
	native string
	one    latchkey.Project
	two    latchkey.Project
}

// tenant makes an organization.
func (h *house) tenant(name string) *tenancy {
	h.Helper()
	o, _, err := h.authority.CreateOrganization(h.Context(), &authority.Call{Caller: authority.Socket(h.operator.Operator)}, authority.NewOrganization{Name: name})
	if err != nil {
		h.Fatal(err)
	}
	return h.furnish(o.ID)
}

// operators is the operator's own organization.
func (h *house) operators() *tenancy {
	h.Helper()
	return h.furnish(h.operator.Operator)
}

func (h *house) furnish(id latchkey.ID) *tenancy {
	h.Helper()
	n := &tenancy{h: h, id: id, native: id.Native(latchkey.KindOrganization)}
	n.one, n.two = n.project(), n.project()
	return n
}

// call is the operator acting in the organization.
func (n *tenancy) call() *authority.Call {
	c := authority.Socket(n.h.operator.Operator)
	c.Organization = n.id
	return &authority.Call{Caller: c}
}

// name is different each time.
func (n *tenancy) name(noun string) string { return noun + "-" + n.h.word() }

// project makes one that lets values be stored.
func (n *tenancy) project() latchkey.Project {
	n.h.Helper()
	p, _, err := n.h.authority.CreateProject(n.h.Context(), n.call(), authority.NewProject{Name: n.name("project"), Retrievable: true})
	if err != nil {
		n.h.Fatal(err)
	}
	return p
}

// key makes a key; its project is the first one unless it names another.
func (n *tenancy) key(in authority.NewKey) authority.Issued {
	n.h.Helper()
	if in.Name == "" {
		in.Name = n.name("key")
	}
	if in.Project.IsZero() {
		in.Project = n.one.ID
	}
	issued, _, err := n.h.authority.CreateKey(n.h.Context(), n.call(), in)
	if err != nil {
		n.h.Fatal(err)
	}
	return issued
}

// with is a new key with that role over the whole organization.
func (n *tenancy) with(role string, scopes ...string) caller {
	n.h.Helper()
	return n.h.as(n.key(authority.NewKey{Reach: latchkey.ReachOrganization, Role: authority.RoleRef{Identifier: role}, Scopes: scopes}).Secret.Expose())
}

// bound is a new key of the strongest kind, in the first project alone.
func (n *tenancy) bound() caller {
	n.h.Helper()
	return n.h.as(n.key(authority.NewKey{Role: authority.RoleRef{Identifier: "owner"}}).Secret.Expose())
}

// role makes a role.
func (n *tenancy) role(rank int, permissions ...string) latchkey.Role {
	n.h.Helper()
	name := n.name("role")
	r, _, err := n.h.authority.CreateRole(n.h.Context(), n.call(), authority.NewRole{Identifier: name, Name: name, Rank: rank, Permissions: permissions})
	if err != nil {
		n.h.Fatal(err)
	}
	return r
}

// user makes a service account.
func (n *tenancy) user(roles ...authority.MemberRole) latchkey.User {
	n.h.Helper()
	u, _, err := n.h.authority.CreateUser(n.h.Context(), n.call(), authority.NewUser{Kind: latchkey.Service, Name: n.name("user"), Roles: roles})
	if err != nil {
		n.h.Fatal(err)
	}
	return u
}

// member gives a role by its identifier; in no project it is over the whole
// organization.
func member(role string, project ...latchkey.ID) authority.MemberRole {
	m := authority.MemberRole{Role: authority.RoleRef{Identifier: role}}
	if len(project) > 0 {
		m.Project = project[0]
	}
	return m
}

// native ids.
func keyID(k authority.Issued) string { return k.ID.Native(latchkey.KindKey) }

// unknown is a well-formed id that names nothing.
func (h *house) unknown(kind latchkey.Kind) string {
	h.Helper()
	id, err := latchkey.NewID(h.now(), rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	return id.Native(kind)
}

// word is a lower-case word that is different each time.
func (h *house) word() string {
	h.Helper()
	return "w" + strings.TrimPrefix(h.unknown(latchkey.KindRole), "role_")
}

// noKey is a well-formed key that nobody was given.
func (h *house) noKey() string {
	h.Helper()
	k, err := latchkey.NewKeyString(latchkey.FormatNative, "lk", latchkey.Live, rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	return k.Plaintext().Expose()
}

var differing = regexp.MustCompile(`"(request_id|as_of)":"[^"]*"`)

// bare is everything about an answer that may tell one from another: all but
// the request's id, the moment, and the date.
func (a answer) bare() string {
	var header []string
	for name, values := range a.Header {
		if name != "X-Request-Id" && name != "Date" {
			header = append(header, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(header)
	return fmt.Sprintf("%d\n%s\n\n%s", a.Status, strings.Join(header, "\n"), differing.ReplaceAllString(a.Text, `"$1":""`))
}

// outcome is an answer in a word or two: the refusal's code, or the status.
func (a answer) outcome() string {
	if a.Status >= 400 {
		return a.text("code")
	}
	return fmt.Sprint(a.Status)
}

// issuer makes an issuer whose callers may do nothing.
func (n *tenancy) issuer(name string) latchkey.Issuer {
	n.h.Helper()
	i, _, err := n.h.authority.CreateIssuer(n.h.Context(), n.call(), authority.NewIssuer{
		Name: name, URL: "https://id.example/" + name, Audiences: []string{"latchkey"}, Roles: []authority.RoleGiven{{Value: "staff", Role: authority.RoleRef{Identifier: "member"}}},
	})
	if err != nil {
		n.h.Fatal(err)
	}
	return i
}

// issuerBody is what such an issuer is made from, over the wire.
func issuerBody(name string) object {
	return object{"name": name, "url": "https://id.example/" + url.PathEscape(name), "audiences": []string{"latchkey"}, "roles": []object{{"value": "staff", "role": "member"}}}
}

// gateway makes a gateway that lets every valid key through.
func (n *tenancy) gateway(name string) latchkey.Gateway {
	n.h.Helper()
	g, _, _, err := n.h.authority.CreateGateway(n.h.Context(), n.call(), authority.NewGateway{
		Name: name, Profile: latchkey.ProfileNginx, Routes: []latchkey.Route{{Path: "/*"}},
	})
	if err != nil {
		n.h.Fatal(err)
	}
	return g
}

// gatewayBody is what such a gateway is made from, over the wire.
func gatewayBody(name string) object {
	return object{"name": name, "profile": "nginx", "routes": []object{{"path": "/*"}}}
}
