package client

import (
	"context"
	"net/http"
)

// Nodes is what the operator can do with the processes that answer verifications.
type Nodes struct{ c *Client }

const nodesPath = "/v1/nodes"

// NodeList is all nodes, and how far they could be.
type NodeList struct {
	Data     []Node `json:"data"`
	Position int64  `json:"position"` // of the newest event
}

// Node is a process that answers verifications from memory.
type Node struct {
	ID              string `json:"id"`           // node_…
	State           string `json:"state"`        // joining or serving
	Applied         int64  `json:"applied"`      // it has every change up to this position
	ServeForMS      int64  `json:"serve_for_ms"` // so long it answers after it last knew that it was current; 0: it is the only one
	KeyringVersions []int  `json:"keyring_versions"`
	Build           string `json:"build"`
	Self            bool   `json:"self"` // it is the one that answered
}

// List lists the nodes.
func (n Nodes) List(ctx context.Context) (Answer[NodeList], error) {
	return send[NodeList](ctx, n.c, get(nodesPath, nil))
}

// Forgotten is a node that was struck off the list.
type Forgotten struct {
	ID string `json:"id"`
}

// Forget strikes a node off the list, on the operator's word that it is dead:
// changes do not wait for it any longer.
func (n Nodes) Forget(ctx context.Context, id string) (Answer[Forgotten], error) {
	return send[Forgotten](ctx, n.c, change(http.MethodDelete, join(nodesPath, id), nil))
}
