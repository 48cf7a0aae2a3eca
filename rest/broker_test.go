package rest_test

import (
	"maps"
	"testing"

	"latchkey.dev/latchkey"
)

// A tenant may have a broker, but not have this server send requests to where the
// tenant says, nor lead elsewhere those that the operator had it send.
func TestManagementIsTheOperators(t *testing.T) {
	h := open(t)
	n := h.tenant("ACME")
	owner, operator := n.with("owner"), h.operators().with("owner")
	management := object{"url": "http://127.0.0.1:15672", "username": "u", "password": "p"}
	broker := func(more object) object {
		in := object{"name": n.name("broker"), "profile": "rabbitmq"}
		maps.Copy(in, more)
		return in
	}
	owner.do("POST", "/v1/gateways", broker(object{"management": management})).refused(403, latchkey.CodeCeiling)
	own := "/v1/gateways/" + owner.do("POST", "/v1/gateways", broker(nil)).must(201).text("gateway", "id")
	owner.do("PATCH", own, object{"management": management}).refused(403, latchkey.CodeCeiling)

	served := operator.with("Latchkey-Organization", n.native)
	served.do("PATCH", own, object{"management": management}).must(200)
	owner.do("PATCH", own, object{"management": object{"url": "http://169.254.169.254", "username": "u", "password": "p"}}).refused(403, latchkey.CodeCeiling)
	a := owner.do("GET", own, nil).must(200)
	if a.text("management", "url") != management["url"] {
		t.Errorf("the broker is reached at %s", a.text("management", "url"))
	}
}
