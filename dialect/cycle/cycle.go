// Package cycle speaks the API keys of a Cycle hub.
package cycle

import (
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/dialect/internal/exchange"
)

// Config is what the dialect is made of.
type Config = exchange.Config

// New makes the dialect.
func New(config Config) *exchange.Dialect {
	return &exchange.Dialect{
		Config: config, Name: "cycle",
		Mounts:     []string{"/v1/hubs/"},
		KeyHeaders: nil,
		Refuse:     refuse,
	}
}

func refuse(x *exchange.Exchange, err error) {
	e := latchkey.AsError(err)
	x.Logged(e)
	_ = x.Answer(http.StatusNotFound, struct{}{})
}
