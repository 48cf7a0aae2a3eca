package company_test

import "testing"

func TestExchanges(t *testing.T) {
	t.Parallel()
	h := open(t)
	if n := h.Replay("testdata/exchanges.txt", map[string]string{"key": h.AdminKey, "user": h.User("Ada", "reader"), "url": h.URL}); n < 11 {
		t.Errorf("only %d exchanges", n)
	}
}
