package vertesia_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// Strangers who begin more requests to the token service than are answered at
// once are in nobody's way who manages keys.
func TestStrangersAreInEachOthersWayAlone(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create().must(200)
	for range 300 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "POST /token/issue HTTP/1.1\r\nHost: latchkey\r\nContent-Length: 10\r\n\r\n")
	}
	for status, deadline := 0, time.Now().Add(30*time.Second); status != http.StatusServiceUnavailable; {
		if time.Now().After(deadline) {
			t.Fatal("they did not fill the places: this shows nothing")
		}
		res, err := http.Post(h.URL+"/token/issue", "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		status = res.StatusCode
		_ = res.Body.Close()
	}
	h.admin().do("DELETE", keysPath+"/"+made.text("id"), nil).must(200)
	h.admin().do("GET", "/v1/keys", nil).must(200)
}

// Nobody makes the authority sign for a host of their choice.
func TestTokensDoNotTakeTheHostsWord(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, host := range []string{"169.254.169.254", "evil.example", "127.0.0.1.evil.example:8080", "localhost.evil.example"} {
		said := claims(t, h.admin().with("Host", host).do("POST", "/token/issue", nil).must(200).text("token"))
		for _, claim := range []string{"iss", "aud", "endpoints"} {
			if text := fmt.Sprint(said[claim]); strings.Contains(text, "evil") || strings.Contains(text, "169.254") || !strings.Contains(text, h.URL) {
				t.Errorf("Host %s: %s is %s", host, claim, text)
			}
		}
	}
	if said := claims(t, h.admin().with("Host", "localhost:4711").do("POST", "/token/issue", nil).must(200).text("token")); said["iss"] != "http://localhost:4711" {
		t.Errorf("of this machine: iss is %v", said["iss"])
	}
}

// What was minted ends within the hour: it brings its bearer to no secret, which
// does not, and to nothing that the key was given later.
func TestMintedTokensComeToNothingLasting(t *testing.T) {
	t.Parallel()
	h := open(t)
	made := h.admin().create(object{"role": "developer"}).must(200)
	path := keysPath + "/" + made.text("id")
	minted := h.as(h.admin().do("GET", path+"/token", nil).must(200).text("token"))
	if value := minted.do("GET", path+"?withValue=true", nil).must(200).at("value"); value != nil {
		t.Error("a minted token was told the value of its key")
	}
	id, err := latchkey.ParseHex(made.text("id"))
	if err != nil {
		t.Fatal(err)
	}
	native := id.Native(latchkey.KindKey)
	if a := minted.do("POST", "/v1/keys/"+native+"/rotate", object{}); a.Status != 403 {
		t.Errorf("a minted token rotated its key: %d", a.Status)
	}
	if a := minted.do("POST", "/v1/keys/"+native+"/reveal", object{"reason": "theft"}); a.Status != 403 {
		t.Errorf("a minted token was told a secret: %d", a.Status)
	}
	exchanged := h.as(h.as(made.text("value")).do("POST", "/token/issue", nil).must(200).text("token"))
	if value := exchanged.do("GET", path+"?withValue=true", nil).must(200).text("value"); value != made.text("value") {
		t.Error("the holder's own token is told the value, as clients do it")
	}

	grown := h.admin().create(object{"role": "auditor"}).must(200)
	path = keysPath + "/" + grown.text("id")
	minted = h.as(h.admin().do("GET", path+"/token", nil).must(200).text("token"))
	h.admin().do("PUT", path, object{"role": "admin"}).must(200)
	minted.do("GET", keysPath, nil).must(200)
	minted.do("POST", keysPath, valid(object{"role": "reader"})).refused(403, "api_key:create")
	h.as(grown.text("value")).do("POST", keysPath, valid(object{"role": "reader"})).must(200) // its holder may
}
