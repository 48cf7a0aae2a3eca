package forward_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The oracle of this file knows who called because it sent the request: it
// builds the header hop by hop, and reads none. A hop that tells no address
// makes the client unknown, if it is trusted; one that is not trusted is the
// client itself.

// hop is a proxy on the way to the gateway.
type hop struct {
	address string
	trusted bool
	honest  bool // writes the address of its own peer
}

const trustedNetwork = "10.0.0.0/8"

func randomHops(r *rand.Rand, n int) []hop {
	hops := make([]hop, n)
	for i := range hops {
		hops[i] = hop{fmt.Sprintf("10.1.%d.%d", r.IntN(200), i+1), true, r.IntN(5) > 0}
		if r.IntN(6) == 0 {
			hops[i].address, hops[i].trusted = fmt.Sprintf("203.0.113.%d", i+1), false
		}
	}
	return hops
}

// caller is who called, as far as trusted proxies that are honest have seen; ""
// is unknown.
func caller(client, header string, hops []hop) string {
	for i, hop := range slices.Backward(hops) {
		if !hop.trusted {
			return hop.address
		}
		if !hop.honest || header == "X-Real-IP" && i > 0 && hops[i-1].trusted {
			return ""
		}
	}
	return client
}

// wear dresses an address as a proxy may write it.
func wear(r *rand.Rand, header, address string) string {
	v6 := strings.Contains(address, ":")
	styles := []string{address, address + ":443", "::ffff:" + address, "[::ffff:" + address + "]:80"}
	if v6 {
		styles = []string{address, "[" + address + "]", "[" + address + "]:443", strings.ToUpper(address)}
	}
	switch header {
	case "Forwarded":
		if v6 {
			return `for="[` + address + `]:4711";proto=https`
		}
		return []string{"for=" + address, `proto=http; For="` + address + `:80"`, `for="[::ffff:` + address + `]"`}[r.IntN(3)]
	case "X-Real-IP":
		if v6 {
			return address
		}
		return []string{address, "::ffff:" + address}[r.IntN(2)]
	}
	return styles[r.IntN(len(styles))]
}

// forged is what clients write themselves: lines before whatever proxies add.
var forged = [][]string{
	nil, {""}, {"192.0.2.1"}, {"for=192.0.2.1"}, {"192.0.2.1, 10.0.0.9"}, {"192.0.2.1", "10.0.0.9"}, {`for="192.0.2.1`}, {"junk, %, ]["},
	{"fe80::1%eth0"}, {",,"}, {strings.Repeat("10.0.0.9,", 900)},
}

// junk is what a broken proxy writes.
var junk = []string{"unknown", "fe80::1%eth0", "", "_hidden", "10.0.0.300", "for=", "[", "192.0.2.1:99999"}

// arrive is what arrives at the gateway.
func arrive(r *rand.Rand, header, client string, hops []hop) (peer string, lines []string) {
	peer = client
	lines = append(lines, forged[r.IntN(len(forged))]...)
	for _, h := range hops {
		entry := wear(r, header, peer)
		if !h.honest {
			entry = junk[r.IntN(len(junk))]
		}
		switch {
		case header == "X-Real-IP":
			lines = []string{entry}
		case len(lines) == 0 || r.IntN(3) == 0:
			lines = append(lines, entry)
		default:
			lines[len(lines)-1] += ", " + entry
		}
		peer = h.address
	}
	return peer, lines
}

// face is how a profile tells the request, beside the header of the proxies.
func face(profile, header, peer string, lines []string) (told []string) {
	switch profile {
	case "nginx", "haproxy":
		told = []string{"X-Original-Method: GET", "X-Original-Host: a", "X-Original-URI: /open", "X-Real-IP: " + peer}
	default: // appends its own peer to X-Forwarded-For, as one line or another
		told = []string{"X-Forwarded-Method: GET", "X-Forwarded-Host: a", "X-Forwarded-Uri: /open"}
		if header != "X-Forwarded-For" {
			told = append(told, "X-Forwarded-For: "+peer)
		} else {
			lines = append(slices.Clip(lines), peer)
			if n := len(lines); n > 1 {
				lines = append(lines[:n-2:n-2], lines[n-2]+", "+peer)
			}
		}
	}
	for _, line := range lines {
		told = append(told, header+": "+line)
	}
	return told
}

// TestAddresses sends 720 requests through up to three proxies before a gateway,
// with headers that the client has forged, and asks with two keys: one for the
// true client alone, which must pass, and one for what the client forged, which
// never may.
func TestAddresses(t *testing.T) {
	a := startAuthority(t)
	r := rand.New(rand.NewPCG(7, 9))
	_, forger := a.key(object{"restrictions": object{"addresses": []string{"192.0.2.0/24", "fe80::/10", "10.0.0.0/8"}}})
	for _, address := range []string{"198.51.100.7", "2001:db8::7"} {
		_, secret := a.key(object{"restrictions": object{"addresses": []string{address}}})
		cases, known := 0, 0
		for _, profile := range []string{"nginx", "haproxy", "traefik", "caddy"} {
			for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-IP"} {
				if header == "X-Real-IP" && (profile == "nginx" || profile == "haproxy") {
					a.manage("POST", "/v1/gateways", object{"name": "n", "profile": profile, "routes": []object{{"path": "/*"}},
						"trusted_proxies": object{"networks": []string{trustedNetwork}, "header": header}}, 422)
					continue
				}
				token := a.gateway(profile, object{"name": profile + header + address, "trusted_proxies": object{"networks": []string{trustedNetwork}, "header": header}})
				for n := range 36 {
					hops := randomHops(r, n%4)
					peer, lines := arrive(r, header, address, hops)
					told, want := face(profile, header, peer, lines), 403
					if caller(address, header, hops) == address {
						want = 200
						known++
					}
					for key, want := range map[string]int{secret: want, forger: 403} {
						answer := ask(t, strings.TrimPrefix(a.URL, "http://"), "/gateway/"+token+"/", append([]string{"Authorization: Bearer " + key}, told...)...)
						if code := answer.Header.Get("X-Latchkey-Code"); answer.StatusCode != want || want == 403 && code != "ip_not_allowed" {
							t.Fatalf("%s behind %+v: %d %s, want %d\n%.600q", profile, hops, answer.StatusCode, code, want, told)
						}
						cases++
					}
				}
			}
		}
		if cases < 600 || known < 60 || known > cases/3 {
			t.Errorf("%d cases, of which %d have an answer: lopsided", cases, known)
		}
	}
}
