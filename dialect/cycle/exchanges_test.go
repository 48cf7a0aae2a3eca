package cycle_test

import "testing"

func TestExchanges(t *testing.T) {
	t.Parallel()
	h := open(t)
	names := map[string]string{"key": h.AdminKey, "hub": h.hub, "role": role("reader"), "account": h.Authority.User.Hex()}
	if n := h.Replay("testdata/exchanges.txt", names); n < 9 {
		t.Errorf("only %d exchanges", n)
	}
}
