package server

import (
	"context"
	"time"

	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/store"
)

// The rhythm of what goes on beside requests.
const (
	sweepInterval = time.Minute     // expired idempotency records, and old tallies of uses
	filesInterval = 5 * time.Second // the key ring's file and the certificate's
	tendInterval  = time.Minute     // the keys of tokens, whose times are hours and days
)

// sweep drops what the store need not remember any longer, from the start on.
func (s *Server) sweep(ctx context.Context) {
	sweep := func() {
		now := time.Now()
		if err := s.core.store.Sweep(ctx, store.Old{Sealed: now.Add(-authority.SecretLife), Calls: now.Add(-authority.RecordLife), Uses: now.Add(-authority.UsageLife)}); err != nil && ctx.Err() == nil {
			s.Log.Warn("what need not be kept any longer stays for now", "error", err)
		}
		if err := s.core.store.SweepTokens(ctx, now); err != nil && ctx.Err() == nil {
			s.Log.Warn("refusals of tokens that have ended stay for now", "error", err)
		}
		if err := s.core.store.PruneNonces(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("nonces of signed requests stay for now", "error", err)
		}
	}
	sweep()
	every(ctx, sweepInterval, sweep)
}

// tend moves the keys of tokens along as their time comes. Several nodes may do
// it at once: the store lets one of them.
func (s *Server) tend(ctx context.Context) {
	every(ctx, tendInterval, func() {
		if err := s.core.authority.TendTokenKeys(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("the keys of tokens stay as they are for now", "error", err)
		}
	})
}

// watch takes up files that others replaced, and what other nodes did with the
// key ring.
func (s *Server) watch(ctx context.Context) {
	every(ctx, filesInterval, func() {
		s.Reload()
		if s.Shared && s.KeyringText.Empty() {
			s.followRing(ctx)
		}
	})
}

// followRing says once what is wrong with this node's ring, and that it is right
// again.
func (s *Server) followRing(ctx context.Context) {
	in, err := s.core.store.Installation(ctx)
	if err != nil {
		return // the store's absence is told by others
	}
	before := s.core.ring.String()
	err = authority.FollowRing(in, s.core.ring)
	if after := s.core.ring.String(); after != before {
		s.Log.Info("key ring changed as another node's was", "ring", after)
	}
	complaint := ""
	if err != nil {
		complaint = err.Error()
	}
	if complaint != s.behind && err != nil {
		s.Log.Error("this node's key ring is behind", "error", err)
	}
	s.behind = complaint
}

// Reload takes up a replaced certificate and key ring file now rather than
// within seconds. What is broken is logged and not taken up.
func (s *Server) Reload() {
	s.certificate.reload()
	s.reloading.Lock()
	defer s.reloading.Unlock()
	before := s.core.ring.String()
	err := s.core.ring.Reload()
	if after := s.core.ring.String(); after != before {
		s.Log.Info("key ring reloaded", "ring", after)
	}
	complaint := ""
	if err != nil {
		complaint = err.Error()
	}
	if complaint != s.complaint && err != nil { // say it once, not every few seconds
		s.Log.Error("the key ring file cannot be taken up; the ring in use stays", "error", err)
	}
	s.complaint = complaint
}

// every does something again and again until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}
