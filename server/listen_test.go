package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/store"
)

func loopbackListener(t *testing.T) net.Listener {
	t.Helper()
	l, err := listen(t.Context(), "listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pipes is a listener to which anybody connects at once.
type pipes struct {
	net.Listener
	accepted int
}

func (p *pipes) Accept() (net.Conn, error) {
	p.accepted++
	c, _ := net.Pipe()
	return c, nil
}

func (p *pipes) Close() error { return nil }

// A listener that is full accepts nobody until a connection ends, and its
// closing reaches the server that waits for that.
func TestBoundedListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients := &pipes{}
		l := &bounded{Listener: clients, places: make(chan struct{}, 2), closed: make(chan struct{})}
		connections := make(chan net.Conn, 10)
		failed := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					failed <- err
					return
				}
				connections <- c
			}
		}()
		synctest.Wait()
		if clients.accepted != 2 {
			t.Fatalf("%d connections in 2 places", clients.accepted)
		}
		c := <-connections
		_, _ = c.Close(), c.Close() // net/http closes twice: a place is given back once
		synctest.Wait()
		if clients.accepted != 3 {
			t.Errorf("one of 2 connections ended: %d were accepted, want 3", clients.accepted)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close: %v", err)
		}
	})
}

// A listener that breaks ends the server with an error, rather than leaving a
// process that nobody can reach.
func TestBrokenListenerEndsTheServer(t *testing.T) {
	t.Parallel()
	s := &Server{
		settings: &settings{Config: Config{Log: slog.New(slog.DiscardHandler), StopTimeout: time.Minute}},
		core:     &core{store: &sweeps{}}, stopping: make(chan struct{}), failed: make(chan error, 1), cancel: func() {},
	}
	d := s.add(newPort(loopbackListener(t), http.NotFoundHandler(), s.Log))
	s.background.Go(func() {
		if err := d.serve(); err != nil {
			s.failed <- err
		}
	})
	_ = d.listener.(*bounded).Listener.Close()
	if err := s.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "the listener on 127.0.0.1:") {
		t.Errorf("want the listener's error, got %v", err)
	}
}

// sweeps is a store that notes what it is asked to forget.
type sweeps struct {
	store.Store
	asked []store.Old
}

func (s *sweeps) Sweep(_ context.Context, old store.Old) error {
	s.asked = append(s.asked, old)
	return errors.New("not now") // which must not end the sweeping
}

func (s *sweeps) SweepTokens(context.Context, time.Time) error { return errors.New("not now") }

func (s *sweeps) PruneNonces(context.Context) error { return errors.New("not now") }

func (s *sweeps) Close() error { return nil }

// At the start and every minute what is too old is dropped, no sooner than promised and at most a
// minute later.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := &sweeps{}
		s := &Server{settings: &settings{Config: Config{Log: slog.New(slog.DiscardHandler)}}, core: &core{store: kept}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		began := time.Now()
		go func() {
			s.sweep(ctx)
			close(done)
		}()
		time.Sleep(3*time.Minute + time.Second)
		cancel()
		<-done
		if len(kept.asked) != 4 {
			t.Fatalf("swept %d times in 3 minutes", len(kept.asked))
		}
		for i, asked := range kept.asked {
			now := began.Add(time.Duration(i) * time.Minute)
			if !asked.Sealed.Equal(now.Add(-authority.SecretLife)) || !asked.Calls.Equal(now.Add(-authority.RecordLife)) || !asked.Uses.Equal(now.Add(-authority.UsageLife)) {
				t.Errorf("at %v: %v", now, asked)
			}
		}
	})
}
