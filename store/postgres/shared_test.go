package postgres

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// Those who ask during a read share the one after it, and are never told what a
// read found that began before they asked.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, let := 0, make(chan struct{})
		s := newShared(func(context.Context, string) (int, error) {
			reads++
			found := reads
			<-let
			return found, nil
		})
		got := make(chan int, 11)
		ask := func() {
			n, err := s.get(t.Context(), "key")
			if err != nil {
				t.Error(err)
			}
			got <- n
		}
		go ask()
		synctest.Wait()
		for range 10 {
			go ask()
		}
		synctest.Wait()
		let <- struct{}{}
		if n := <-got; n != 1 {
			t.Errorf("the first was told of read %d", n)
		}
		synctest.Wait()
		let <- struct{}{}
		for range 10 {
			if n := <-got; n != 2 {
				t.Errorf("who asked during the first read was told of read %d", n)
			}
		}
		synctest.Wait()
		if reads != 2 || len(s.next) != 0 {
			t.Errorf("%d reads, and %d are kept", reads, len(s.next))
		}
	})
}

// Who gives up takes nobody else's answer along; when all did, the read is
// stopped, and whoever asks then gets one of its own.
func TestSharedGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		s := newShared(func(ctx context.Context, _ string) (int, error) {
			reads++
			<-ctx.Done()
			return 0, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		staying, leave := context.WithCancel(t.Context())
		gave := make(chan error, 4)
		ask := func(ctx context.Context) {
			_, err := s.get(ctx, "key")
			gave <- err
		}
		go ask(ctx) // the first read
		synctest.Wait()
		go ask(ctx) // the next one, with
		go ask(staying)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if len(gave) != 2 || reads != 2 {
			t.Fatalf("%d gave up, %d reads began", len(gave), reads)
		}
		go ask(staying) // the third
		synctest.Wait()
		leave()
		synctest.Wait()
		for range 4 {
			if err := <-gave; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if len(s.next) != 0 {
			t.Errorf("%d are kept", len(s.next))
		}
	})
}
