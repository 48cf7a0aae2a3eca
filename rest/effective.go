package rest

import (
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
	"latchkey.dev/latchkey/internal/body"
)

// Effective tells how far a committed change has come.
type Effective struct {
	Effective string        `json:"effective" enum:"everywhere,pending" doc:"everywhere: no node decides by the old state any more."`
	Position  int64         `json:"position" doc:"Of the event."`
	Nodes     []pendingNode `json:"nodes,omitzero" required:"false" nullable:"false" doc:"Those that may not know of it yet; there if it is pending."`
}

// Usable tells how far something new has come.
type Usable struct {
	Usable   string        `json:"usable" enum:"everywhere,pending" doc:"everywhere: it is valid on every node now."`
	Position int64         `json:"position" doc:"Of the event."`
	Nodes    []pendingNode `json:"nodes,omitzero" required:"false" nullable:"false" doc:"Those that may not know of it yet; there if it is pending."`
}

type pendingNode struct {
	ID       string `json:"id" doc:"node_…"`
	WithinMS int64  `json:"within_ms" doc:"After so many milliseconds it knows, or answers nothing."`
}

func spellEffective(e authority.Effective) Effective {
	return Effective{e.String(), e.Position, pendingNodes(e)}
}

func spellUsable(e authority.Effective) Usable {
	return Usable{e.String(), e.Position, pendingNodes(e)}
}

func pendingNodes(e authority.Effective) (nodes []pendingNode) {
	for _, p := range e.Pending {
		within := (max(p.Within, 0) + time.Millisecond - 1) / time.Millisecond // never less than it takes
		nodes = append(nodes, pendingNode{p.Node.Native(latchkey.KindNode), int64(within)})
	}
	return nodes
}

// waiting is the parameter of every operation that tells how far its change has come.
const waiting = "wait"

// readWait reads how long the answer may wait for the nodes.
func (x *exchange) readWait() error {
	if !x.declares(waiting) || !x.r.URL.Query().Has(waiting) {
		return nil
	}
	wait, err := body.ParseDuration(x.r.URL.Query().Get(waiting))
	if err != nil {
		return latchkey.Invalid("query:"+waiting, "format", "This is a length of time, like 2s or 500ms.")
	}
	return x.wait("query:"+waiting, wait)
}

func (x *exchange) wait(pointer string, wait time.Duration) error {
	switch {
	case wait < 0 || wait > latchkey.MaxWait:
		return latchkey.Invalid(pointer, "range", "A wait is 0s to 30s.")
	case x.Wait != nil:
		return latchkey.Invalid(pointer, "duplicate", "The wait is in the query already; give it once.")
	}
	x.Wait = &wait
	return nil
}
