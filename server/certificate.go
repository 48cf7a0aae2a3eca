package server

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// certificate is a pair of files that may be replaced while the server runs.
type certificate struct {
	certPath, keyPath string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu   sync.Mutex
	seen [sha256.Size]byte // of the files that were last looked at
}

// loadCertificate reads the pair for the first time. Without one it gives nil.
func (s *settings) loadCertificate() (*certificate, error) {
	if s.TLSCert == "" {
		return nil, nil
	}
	c := &certificate{certPath: s.TLSCert, keyPath: s.TLSKey, log: s.Log}
	if err := c.load(); err != nil {
		return nil, &Problem{
			What:  fmt.Sprintf("The certificate and its key cannot be used: %v.", err),
			Do:    "Put a PEM chain, the server's own certificate first, into --tls-cert and its PEM private key, without a passphrase, into --tls-key.",
			Cause: err,
		}
	}
	return c, nil
}

// reload takes up the files if they have changed. A pair that is broken, or of
// which only one half was replaced so far, leaves the old one in place.
func (c *certificate) reload() {
	if c == nil {
		return
	}
	if err := c.load(); err != nil {
		c.log.Error("the certificate files are broken; the certificate in use stays", "error", err)
	}
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	chain, err1 := os.ReadFile(c.certPath)
	key, err2 := os.ReadFile(c.keyPath)
	sum := sha256.Sum256(fmt.Appendf(nil, "%v %v %x %x", err1, err2, chain, key))
	if sum == c.seen {
		return nil
	}
	c.seen = sum
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	c.log.Info("certificate loaded", "file", c.certPath, "not_after", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	return nil
}

// config is that of a listener which serves the certificate of the moment.
func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
