package server

import (
	"time"

	"latchkey.dev/latchkey/gateway/forward"
	"latchkey.dev/latchkey/internal/door"
	"latchkey.dev/latchkey/token"
	"latchkey.dev/latchkey/verify"
)

// gateways is what their faces are made of. own is where the API is listened
// for: with no public URL, the key set of assertions is published there.
func (s *Server) gateways(front *door.Door, own string, m *metrics) forward.Config {
	issuer := s.PublicURL
	if issuer == "" {
		issuer = own
	}
	return forward.Config{
		Door: front, Verifier: s.core.verifier, Gateways: s.core.gateways, Observe: m.verdict,
		Assertions: verify.NewAssertions(token.New(s.core.store, s.core.ring), issuer, time.Now),
	}
}
