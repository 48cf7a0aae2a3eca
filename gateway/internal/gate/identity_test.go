package gate

import "testing"

func TestEncode(t *testing.T) {
	for in, want := range map[string]string{"": "", "plain-._~9": "plain-._~9", "a b": "a%20b", "é\r\nX: 1": "%C3%A9%0D%0AX%3A%201", "%": "%25"} {
		if got := encode(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
