package dialecttest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/dialecttest"
	"latchkey.dev/latchkey/latchkeytest"
)

// The vendor's published clients, unmodified, run every operation of the Cycle
// document.
func TestCycleClients(t *testing.T) {
	t.Parallel()
	for script, least := range map[string]int{"cycle-api.mjs": 20, "openapi-fetch.mjs": 24} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			p := serve(t)
			h := &dialecttest.House{TB: t, Authority: &latchkeytest.Authority{URL: p.url, AdminKey: p.admin}}
			disabled, id := h.Key(dialecttest.Object{"role": "owner"})
			h.Native(http.MethodPatch, "/v1/keys/"+id, dialecttest.Object{"enabled": false})
			developer, _ := latchkey.BuiltinRole("developer")
			consumer, _ := latchkey.BuiltinRole("consumer")
			out := node(t, script, "URL="+p.url, "HUB="+p.hub, "KEY="+p.admin,
				"ROLE="+consumer.ID.Hex(), "OTHER_ROLE="+developer.ID.Hex(), "DISABLED="+disabled)
			count, _, _ := strings.Cut(out, " operations")
			if n, err := strconv.Atoi(strings.TrimSpace(count)); err != nil || n < least {
				t.Errorf("of at least %d operations these were run: %s", least, out)
			}
		})
	}
}
