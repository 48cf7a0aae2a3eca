// Package voke speaks Voke's partner API keys.
package voke

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
		Config: config, Name: "voke",
		Mounts:     []string{"/api/v1/partner/"},
		KeyHeaders: []string{"X-API-Key"},
		Refuse:     refuse,
	}
}

func refuse(x *exchange.Exchange, err error) {
	e := latchkey.AsError(err)
	x.Logged(e)
	_ = x.Answer(http.StatusNotFound, struct{}{})
}
