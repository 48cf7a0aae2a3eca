package rest

import (
	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/authority"
)

type nodeAnswer struct {
	ID              string `json:"id" doc:"node_…"`
	State           string `json:"state" enum:"joining,serving" doc:"joining: it reads the keys, and answers nothing yet."`
	Applied         int64  `json:"applied" doc:"It is known to have every change up to this position."`
	ServeForMS      int64  `json:"serve_for_ms" doc:"So long it answers after it last knew that it was current; 0: it is the only one, and always is."`
	KeyringVersions []int  `json:"keyring_versions" nullable:"false" doc:"The versions of the key ring that it has."`
	Build           string `json:"build" doc:"Of the program."`
	Self            bool   `json:"self" doc:"It is the one that answers you."`
}

type nodesAnswer struct {
	Data       []nodeAnswer `json:"data" nullable:"false" doc:"All of them."`
	NextCursor *string      `json:"next_cursor" doc:"Always null."`
	Position   int64        `json:"position" doc:"Of the newest event."`
}

func (api *API) listNodes(x *exchange) error {
	nodes, head, err := api.Authority.Nodes(x.r.Context(), &x.Call)
	if err != nil {
		return err
	}
	out := nodesAnswer{Data: make([]nodeAnswer, len(nodes)), Position: head}
	for i := range nodes {
		out.Data[i] = spellNode(&nodes[i])
	}
	return x.answer(out)
}

func spellNode(n *authority.Node) nodeAnswer {
	return nodeAnswer{
		ID: n.ID.Native(latchkey.KindNode), State: string(n.State), Applied: n.Applied, ServeForMS: n.ServeFor.Milliseconds(),
		KeyringVersions: n.Versions, Build: n.Build, Self: n.Self,
	}
}

type forgottenAnswer struct {
	ID string `json:"id"`
}

func (api *API) forgetNode(x *exchange) error {
	id := x.pathID(latchkey.KindNode)
	if err := api.Authority.ForgetNode(x.r.Context(), &x.Call, id); err != nil {
		return err
	}
	return x.answer(forgottenAnswer{id.Native(latchkey.KindNode)})
}
