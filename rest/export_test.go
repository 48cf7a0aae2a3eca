package rest

import "latchkey.dev/latchkey"

// Operation is what tests may know of a route.
type Operation struct {
	ID, Tag, Method, Path string
	Needs                 latchkey.Permission
	Open                  bool
	Waits                 bool // it tells how far its change has come
}

// Operations lists the routes of the API, in the order of its own table.
func (api *API) Operations() []Operation {
	var all []Operation
	for _, op := range api.operations() {
		all = append(all, Operation{ID: op.id, Tag: op.tag, Method: op.method, Path: op.path, Needs: op.needs, Open: op.open, Waits: (&exchange{op: &op}).declares(waiting)})
	}
	return all
}
