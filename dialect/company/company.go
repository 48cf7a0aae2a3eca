// Package company speaks the API keys of a company.
package company

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
		Config: config, Name: "company",
		Mounts:     []string{"/keys", "/keys/", "/api/keys", "/api/keys/"},
		KeyHeaders: []string{"X-API-Key", "X_API_KEY"},
		Refuse:     refuse,
	}
}

func refuse(x *exchange.Exchange, err error) {
	e := latchkey.AsError(err)
	x.Logged(e)
	_ = x.Answer(http.StatusNotFound, struct{}{})
}
