package storetest

import (
	"errors"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/store"
)

// newGateway has something in every field.
func (w *world) newGateway(of latchkey.ID, name string) *latchkey.Gateway {
	id := w.id()
	g := &latchkey.Gateway{
		ID: id, Organization: of, Name: name, Profile: latchkey.ProfileCaddy, All: true, Environment: latchkey.Live,
		Place: latchkey.TokenInHeader, KeyHeaders: []string{"authorization", "x-api-key"},
		Routes: []latchkey.Route{
			{Methods: []string{"GET", "HEAD"}, Host: "api.example.com", Path: "/v1/plants/{plant}",
				Scopes: latchkey.Requirement{All: latchkey.Permissions{"plants:read"}}, Resource: latchkey.Resource{Type: "plant", ID: "{plant}"}},
			{Path: "/*", Scopes: latchkey.Requirement{Any: latchkey.Permissions{"a", "b:*"}}},
		},
		Token: latchkey.GatewayToken{KID: latchkey.KID(id.Hex()[:latchkey.KIDLen]), Pepper: 3, Digest: [32]byte{0: 1, 5: 0xFF, 31: 9}},
		Trust: trustOf([]string{"10.0.0.0/8", "2001:db8::1"}, latchkey.HeaderForwarded), Audience: "https://api.example.com",
		Management: latchkey.Management{URL: "https://broker.example.com:15671", Username: "latchkey", Sealed: []byte{1, 0, 0xFF}, DeleteVHosts: true},
		Record:     w.record(),
	}
	return g
}

// trustOf panics where a case is wrong.
func trustOf(entries []string, header latchkey.ProxyHeader) latchkey.ProxyTrust {
	trust, broken := latchkey.ParseProxyTrust(entries, header)
	if broken != nil {
		panic(broken.Detail)
	}
	return trust
}

// gatewayCases follow gateways through their lives.
func gatewayCases() []testCase {
	return []testCase{
		{"from made to deleted", func(w *world) {
			of := w.tenant()
			g := w.newGateway(of.org.ID, "front")
			w.write(g)
			w.sameGateways("made", g)
			g.Name, g.Profile, g.All, g.Environment, g.Place = "back", latchkey.ProfileNginx, false, "", latchkey.TokenInPath
			g.KeyHeaders, g.Routes = []string{"x-key"}, []latchkey.Route{{Path: "/"}}
			g.Trust, g.Audience, g.Management = latchkey.ProxyTrust{}, "", latchkey.Management{}
			g.Token = latchkey.GatewayToken{KID: "another", Pepper: 4, Digest: [32]byte{7}}
			g.UpdatedAt = w.tick()
			w.write(g)
			w.sameGateways("changed", g)
			w.reopen()
			w.sameGateways("after reopening", g)
			g.DeletedAt = w.tick()
			w.write(g)
			w.sameGateways("deleted")
		}},
		{"oldest first, of every organization", func(w *world) {
			a, b := w.tenant(), w.tenant()
			all := []*latchkey.Gateway{w.newGateway(b.org.ID, "one"), w.newGateway(a.org.ID, "one"), w.newGateway(b.org.ID, "two")}
			w.write(all[0], all[1])
			w.write(all[2])
			all[0].UpdatedAt = w.tick()
			w.write(all[0])
			w.sameGateways("gateways", all...)
		}},
		{"a name is taken once in an organization, until it is deleted", func(w *world) {
			a, b := w.tenant(), w.tenant()
			first := w.newGateway(a.org.ID, "front")
			w.write(first)
			w.write(w.newGateway(b.org.ID, "front"))
			_, err := w.submit(w.batch(w.newGateway(a.org.ID, "front")))
			var taken *store.ConflictError
			if !errors.As(err, &taken) || taken.Field != "name" {
				w.t.Errorf("a second gateway of the name: %v", err)
			}
			first.DeletedAt = w.tick()
			w.write(first)
			w.write(w.newGateway(a.org.ID, "front"))
		}},
		{"a change begins another generation", func(w *world) {
			of := w.tenant()
			g := w.newGateway(of.org.ID, "front")
			for _, change := range []func(){func() {}, func() { g.Name = "back" }, func() { g.DeletedAt = w.tick() }} {
				before := w.s.Generation()
				change()
				w.write(g)
				if after := w.s.Generation(); after == before && before != 0 {
					w.t.Errorf("it is still generation %d", after)
				}
			}
		}},
		{"not in a view that did not ask", func(w *world) {
			w.write(w.newGateway(w.tenant().org.ID, "front"))
			w.see(store.Reads{Installation: true}, func(v *store.View) {
				if len(v.Gateways) != 0 {
					w.t.Errorf("the view holds %d gateways", len(v.Gateways))
				}
			})
		}},
	}
}

// sameGateways wants exactly these, in this order, through both doors.
func (w *world) sameGateways(what string, want ...*latchkey.Gateway) {
	w.t.Helper()
	var rows []latchkey.Gateway
	for _, g := range want {
		rows = append(rows, *g)
	}
	got, err := w.s.Gateways(w.ctx())
	w.ok("Gateways", err)
	w.same(what, got, rows)
	w.see(store.Reads{Gateways: true}, func(v *store.View) {
		w.same(what+", in the view", v.Gateways, rows)
	})
}
