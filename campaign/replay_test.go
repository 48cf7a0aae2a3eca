//go:build linux

package campaign

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/latchkey/client"
)

// TestReplays sends signed requests again: at once and over and over, to the node
// that accepted them and to the other, after a node was killed, after the database
// fell over, while standbys take over and afterwards, with the database's clock put
// forward until nonces are forgotten, and back again. Each request is accepted once.
func TestReplays(t *testing.T) {
	d := newDatabase(t)
	one := install(t, folder(t), "--database-url", d.url)
	r := &replays{t: t, base: d, nodes: []*server{one, d.node(one)}}
	r.issue()
	requests := 40
	if *longFlag {
		requests = 400
	}
	var sent []map[string]any
	for range requests {
		sent = append(sent, r.sign())
	}
	r.send("at first", sent, 3, len(sent))
	r.send("again", sent, 1, 0)
	r.nodes[1].kill()
	r.nodes[1].start()
	r.nodes[1].ready()
	r.send("after a node was killed", sent, 1, 0)
	d.fall()
	r.ready()
	r.send("after the database fell over", sent, 1, 0)
	r.send("others", []map[string]any{r.sign(), r.sign()}, 1, 2)
	failovers := 1
	if *longFlag {
		failovers = 2
	}
	for range failovers {
		r.failOver("a standby in step", d.failOverWith, sent, 0)
		r.failOver("a standby that lacks the last commits", d.failOverWithout, sent, failedOver)
	}

	// From here on the database has a clock of ours.
	d.exec(`CREATE TABLE public.step (by interval NOT NULL)`, `INSERT INTO public.step VALUES ('0')`,
		`CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM public.step)'`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$`)
	r.restart()
	before := r.sign()
	r.send("with a clock of ours", []map[string]any{before}, 1, 1)
	for _, step := range []string{"-59 seconds", "-10 minutes", "400 seconds", "0"} {
		d.exec(`UPDATE public.step SET by = '` + step + `'`)
		r.send("the clock at "+step, sent, 1, 0)
		r.send("the clock at "+step, []map[string]any{before}, 1, 0)
		if step == "400 seconds" {
			// A start forgets what can be forgotten, as each minute does.
			r.restart()
			d.forgotten()
		}
	}
	t.Logf("%d replays (%d of them while a standby took over, or to one that lacked their nonces; %d got no verdict), and %d accepted",
		r.refused.Load(), r.afterFailover.Load(), r.none.Load(), r.again.Load())
	if r.afterFailover.Load() == 0 {
		t.Error("nothing was sent again after a failover: this tried too little")
	}
}

// failedOver is how many requests are accepted before each failover.
const failedOver = 10

// failOver has requests accepted, and lets a standby take over, which lacks so many
// of their nonces. All the while, and then once more, everything is sent again.
func (r *replays) failOver(to string, failOver func(func()), sent []map[string]any, lacks int) {
	r.t.Helper()
	var last []map[string]any
	for range failedOver {
		last = append(last, r.sign())
	}
	before := 0
	done, stopped := make(chan struct{}), make(chan struct{})
	failOver(func() {
		r.send("before "+to+" takes over", last, 2, len(last))
		before = r.base.count(`SELECT count(*) FROM nonces`)
		go func() {
			defer close(stopped)
			r.again.Add(r.press(last, done))
		}()
	})
	r.ready()
	if left := r.base.count(`SELECT count(*) FROM nonces`); left != before-lacks {
		r.t.Errorf("%s has %d nonces of %d, and should lack %d", to, left, before, lacks)
	}
	refused := r.refused.Load()
	r.send("after "+to+" took over", append(last, sent...), 1, 0)
	r.afterFailover.Add(r.refused.Load() - refused)
	close(done)
	<-stopped
	if n := r.again.Load(); n > 0 {
		r.t.Errorf("while %s took over, %d were accepted again", to, n)
	}
	r.aMinute(last)
}

// press sends requests again and again, to whichever node, until it is done, and
// counts those that are accepted. While there is no database there are no verdicts.
func (r *replays) press(requests []map[string]any, done <-chan struct{}) (accepted int64) {
	for n := 0; ; n++ {
		select {
		case <-done:
			return accepted
		default:
		}
		a := r.nodes[n%len(r.nodes)].call("POST", "/v1/keys/verify", requests[n%len(requests)])
		switch a.text("code") {
		case "valid":
			accepted++
		case "signature_invalid":
			r.refused.Add(1)
			r.afterFailover.Add(1)
		default:
			r.none.Add(1)
		}
	}
}

// aMinute is how long a new history refuses what may have been accepted in the old
// one. Where there is no time for that, the floor is set back instead; where there
// is, the last requests are sent once more.
func (r *replays) aMinute(last []map[string]any) {
	r.t.Helper()
	r.send("within the minute", []map[string]any{r.sign()}, 1, 0)
	if !*longFlag {
		r.base.exec(`UPDATE nonce_floor SET at = at - 120`)
	} else {
		time.Sleep(62 * time.Second)
		r.send("a minute later", last, 1, 0)
	}
	r.send("signed a minute later", []map[string]any{r.sign()}, 1, 1)
}

// forgotten waits until the nonces are.
func (d *database) forgotten() {
	d.t.Helper()
	conn := d.connect()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var left int
		err := conn.QueryRow(context.Background(), `SELECT count(*) FROM nonces`).Scan(&left)
		if err != nil || time.Now().After(end) {
			d.t.Fatalf("%d nonces are left, %v", left, err)
		}
		if left == 0 {
			return
		}
	}
}

// replays is two nodes, and a key whose requests have to be signed.
type replays struct {
	t      *testing.T
	base   *database
	nodes  []*server
	key    string
	signer *client.Signer

	refused, afterFailover, none, again atomic.Int64
}

func (r *replays) issue() {
	made := r.nodes[0].must(r.nodes[0].call("POST", "/v1/keys", map[string]any{"name": "Signs", "signing": map[string]any{"mode": "required"}}))
	r.key = made.text("secret")
	var err error
	if r.signer, err = client.NewSigner(client.KID(client.NewSecret(r.key)), client.NewSecret(made.text("signing_key"))); err != nil {
		r.t.Fatal(err)
	}
}

// sign makes the question about a signed request.
func (r *replays) sign() map[string]any {
	request, err := http.NewRequest(http.MethodPost, "https://api.example.com/v1/plants?dry=1", strings.NewReader(`{"hello": "world"}`))
	if err == nil {
		err = r.signer.Sign(request)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	var v client.Verification
	if err := v.Of(request, 0); err != nil {
		r.t.Fatal(err)
	}
	return map[string]any{"key": r.key, "method": v.Method, "host": v.Host, "path": v.Path, "query": v.Query, "signature": v.Signature}
}

func (r *replays) ready() {
	for _, n := range r.nodes {
		n.ready()
	}
}

// restart lets every node begin anew.
func (r *replays) restart() {
	for _, n := range r.nodes {
		n.kill()
		n.start()
	}
	for _, n := range r.nodes {
		n.answers(r.key)
	}
}

// answers waits until the node gives verdicts. With a clock that is not the
// database's it is never ready, and right all the same.
func (s *server) answers(key string) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if a := s.call("POST", "/v1/keys/verify", map[string]any{"key": key}); a.text("code") == "signature_required" {
			return
		}
	}
	s.t.Fatalf("the server gives no verdicts\n%s", s.log)
}

// send sends each request to every node that many times, all at once, and wants so
// many to be accepted.
func (r *replays) send(when string, requests []map[string]any, times, want int) {
	r.t.Helper()
	var all sync.WaitGroup
	var accepted atomic.Int64
	gate := make(chan struct{}, 16)
	for _, asked := range requests {
		for range times {
			for _, node := range r.nodes {
				all.Go(func() {
					gate <- struct{}{}
					defer func() { <-gate }()
					a := node.call("POST", "/v1/keys/verify", asked)
					switch code := a.text("code"); code {
					case "valid":
						accepted.Add(1)
					case "signature_invalid":
						r.refused.Add(1)
					default:
						r.t.Errorf("%s: %q: %v", when, code, a)
					}
				})
			}
		}
	}
	all.Wait()
	if int(accepted.Load()) != want {
		r.t.Errorf("%s: %d were accepted, want %d", when, accepted.Load(), want)
	}
}
