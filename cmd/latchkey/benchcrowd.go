package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/bench/speed"
	"latchkey.dev/latchkey/keyring"
	"latchkey.dev/latchkey/store/sqlite"
	manykeys "latchkey.dev/latchkey/store/sqlite/crowd"
)

// shownKeys is how many keys of a crowd are asked about: so many that their entries
// are in no cache of the processor.
const shownKeys = 1 << 17

// crowd is a data folder with very many keys, and who asks about them.
type crowd struct {
	data string
	kept string // the file that knows the rest

	Gateway string   // its token
	Envoy   string   // that of one that asks over gRPC
	Asker   string   // a key that may verify
	Keys    []string // that are asked about
}

// crowd finds what a run before left in a folder, or writes it.
func (b *benchmark) crowd(ctx context.Context, folder string) (*crowd, error) {
	c := &crowd{data: filepath.Join(folder, "data")}
	kept := filepath.Join(folder, "crowd.json")
	c.kept = kept
	text, err := os.ReadFile(kept)
	if err == nil {
		return c, json.Unmarshal(text, c)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	model, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := c.draw()
	if err != nil {
		return nil, err
	}
	err = manykeys.Write(ctx, filepath.Join(c.data, sqlite.FileName), model, b.keys(), shown, func(done int64) {
		if done%1_000_000 == 0 {
			b.note("%d M keys of %d M are written", done/1_000_000, b.keys()/1_000_000)
		}
	})
	if err != nil {
		return nil, err
	}
	return c, c.keep()
}

// keep writes what the next run has to know.
func (c *crowd) keep() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(c.kept, text, 0o600)
}

// register makes the gateway that asks over gRPC, unless a run before did. Nobody
// kept the owner's key, so it goes through the operator's socket.
func (c *crowd) register(ctx context.Context, p *child) error {
	if c.Envoy != "" {
		return nil
	}
	local := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", p.socket)
	}}}
	defer local.CloseIdleConnections()
	var made struct{ Token string }
	in := map[string]any{"name": "bench gRPC " + rand.Text(), "profile": "envoy-grpc", "routes": benchRoutes()}
	if err := p.post(ctx, local, "/v1/gateways", "", in, &made); err != nil {
		return err
	}
	c.Envoy = made.Token
	return c.keep()
}

func benchRoutes() []any {
	return []any{map[string]any{"path": "/*", "scopes": map[string]any{"all": []string{"docs:read"}}}}
}

// begin makes the installation, the gateway, who asks, and the key that the others
// are copies of.
func (c *crowd) begin(ctx context.Context) (model latchkey.ID, err error) {
	var kept children
	defer kept.stop()
	owner, err := kept.initialize(ctx, c.data)
	if err != nil {
		return model, err
	}
	p, _, err := kept.serve(ctx, c.data)
	if err != nil {
		return model, err
	}
	var made struct {
		Key    struct{ ID string }
		Secret string
		Token  string
	}
	for _, call := range []struct {
		path string
		in   any
		take func() error
	}{
		{"/v1/gateways", map[string]any{"name": "bench", "profile": "nginx", "routes": benchRoutes()}, func() error {
			c.Gateway = made.Token
			return nil
		}},
		{"/v1/keys", map[string]any{"name": "asker", "scopes": []string{string(latchkey.KeyVerify)}, "reach": "organization"}, func() error {
			c.Asker = made.Secret
			return nil
		}},
		{"/v1/keys", map[string]any{"name": "crowd", "scopes": []string{"docs:read", "docs:write"}, "metadata": map[string]string{"plan": "basic"}}, func() error {
			model, err = latchkey.ParseNative(latchkey.KindKey, made.Key.ID)
			return err
		}},
	} {
		if err := p.post(ctx, http.DefaultClient, call.path, owner, call.in, &made); err != nil {
			return model, err
		}
		if err := call.take(); err != nil {
			return model, err
		}
	}
	return model, nil
}

// draw draws the keys that are asked about.
func (c *crowd) draw() ([]manykeys.Shown, error) {
	ring, err := keyring.Open(filepath.Join(c.data, "keyring.json"))
	if err != nil {
		return nil, err
	}
	shown := make([]manykeys.Shown, shownKeys)
	for i := range shown {
		k, err := latchkey.NewKeyString(latchkey.FormatNative, "lk", latchkey.Live, rand.Reader)
		if err != nil {
			return nil, err
		}
		shown[i].KID = k.KID
		if shown[i].Digest, err = ring.Digest(ring.Active(), k.Plaintext()); err != nil {
			return nil, err
		}
		c.Keys = append(c.Keys, k.Plaintext().Expose())
	}
	return shown, nil
}

// asks are the requests that are measured.
func (c *crowd) asks(p *child) (get, post, batch *speed.Exchange) {
	key := strings.Repeat("K", len(c.Keys[0]))
	get = ask(p, http.MethodGet, "/gateway/"+c.Gateway+"/", key, http.Header{
		"Authorization": {"Bearer " + key}, "X-Original-Method": {"GET"}, "X-Original-Host": {"api.example.com"},
		"X-Original-Uri": {"/v1/documents/17"}, "X-Real-Ip": {"192.0.2.17"},
	}, "")
	header := http.Header{"Authorization": {"Bearer " + c.Asker}, "Content-Type": {"application/json"}}
	one := `{"key":"` + key + `","ip":"192.0.2.17","scopes":["docs:read"]}`
	post = ask(p, http.MethodPost, "/v1/keys/verify", key, header, one)
	batch = ask(p, http.MethodPost, "/v1/keys/batch-verify", key, header, `{"items":[`+strings.Repeat(one+",", 99)+one+`]}`)
	for _, e := range []*speed.Exchange{get, post, batch} {
		e.Keys = c.Keys
	}
	return get, post, batch
}

// post makes something. No key is shown where it is "".
func (p *child) post(ctx context.Context, through *http.Client, path, key string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := through.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s is answered by %s: %s", path, res.Status, answer)
	}
	return json.Unmarshal(answer, out)
}
