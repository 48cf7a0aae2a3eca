package postgres

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is where every commit is notified, and nodesChannel where nodes tell
// what they have applied, and that they go.
const (
	channel      = "latchkey_changed"
	nodesChannel = "latchkey_nodes"
)

// pollEvery is how often the head is read besides: a notification may be lost
// with the connection that carried it.
const pollEvery = 100 * time.Millisecond

// listener tells this node what any node commits.
type listener struct {
	config  *pgx.ConnConfig
	changed func(head int64)     // is told of changes, and the position that was named with them
	nodes   func(payload string) // of what nodes tell
	log     *slog.Logger
	head    int64 // as last read
	failing bool
	stop    context.CancelFunc
	done    chan struct{}
}

func listen(config *pgx.ConnConfig, changed func(int64), nodes func(string), log *slog.Logger) *listener {
	ctx, stop := context.WithCancel(context.Background())
	l := &listener{config: config.Copy(), changed: changed, nodes: nodes, log: log, stop: stop, done: make(chan struct{})}
	go l.run(ctx)
	return l
}

func (l *listener) close() {
	l.stop()
	<-l.done
}

// run listens, and connects again after a failure.
func (l *listener) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		err := l.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if !l.failing {
			l.log.Warn("the connection that hears of changes is lost; connecting again", "error", err)
		}
		l.failing = true
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
}

// follow announces changes until the connection fails.
func (l *listener) follow(ctx context.Context) error {
	conn, err := connect(ctx, l.config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // nothing was written
	if _, err := conn.Exec(ctx, `LISTEN `+channel+`; LISTEN `+nodesChannel); err != nil {
		return err
	}
	l.nodes("") // something may have been missed
	if l.failing {
		l.failing = false
		l.log.Info("changes of other nodes are heard again")
	}
	for {
		if err := l.poll(ctx, conn); err != nil {
			return err
		}
		if err := l.wait(ctx, conn); err != nil {
			return err
		}
	}
}

// poll announces what was committed without being heard.
func (l *listener) poll(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var head int64
	err := conn.QueryRow(ctx, selectHead).Scan(&head)
	if err == nil && head != l.head {
		l.head = head
		l.changed(head)
	}
	return err
}

// wait announces what it hears until it is time to look.
func (l *listener) wait(ctx context.Context, conn *pgx.Conn) error {
	turn, cancel := context.WithTimeout(ctx, pollEvery)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(turn)
		switch {
		case err == nil && n.Channel == nodesChannel:
			l.nodes(n.Payload)
		case err == nil:
			head, _ := strconv.ParseInt(n.Payload, 10, 64) // anybody may say anything
			l.changed(head)
		case ctx.Err() == nil && errors.Is(turn.Err(), context.DeadlineExceeded) && !conn.IsClosed():
			return nil
		default:
			return err
		}
	}
}
