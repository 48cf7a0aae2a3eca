package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	formatV1   = "latchkey-keyring/v1"
	maxFileLen = 64 << 10 // bytes; the longest ring has about 24 KiB
)

// document is the ring's file, member by member in this order.
type document struct {
	Format   string  `json:"format"`
	Ring     string  `json:"ring"`
	Active   int     `json:"active"`
	Versions []entry `json:"versions"`
	Checksum string  `json:"checksum"`
}

// entry is one version: with a root or retired, never both.
type entry struct {
	Version     int    `json:"version"`
	CreatedAt   string `json:"created_at"` // RFC 3339, UTC, whole seconds
	Fingerprint string `json:"fingerprint"`
	Root        string `json:"root,omitempty"` // 64 hexadecimal digits
	Retired     bool   `json:"retired,omitempty"`
}

// sum is SHA-256 over the document without white space and with an empty
// checksum. It finds accidents; whoever may write the file can also write the sum.
func (d document) sum() string {
	d.Checksum = ""
	h := sha256.Sum256(compact(d))
	return hex.EncodeToString(h[:])
}

func compact(d document) []byte {
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // strings, integers and booleans always encode
	}
	return text
}

func (s *state) document() document {
	d := document{Format: formatV1, Ring: s.fingerprint(), Active: s.active}
	for i, v := range s.versions {
		e := entry{Version: i + 1, CreatedAt: v.created.Format(time.RFC3339), Fingerprint: v.fingerprint}
		if v.keys != nil {
			e.Root = hex.EncodeToString(v.keys.root)
		} else {
			e.Retired = true
		}
		d.Versions = append(d.Versions, e)
	}
	d.Checksum = d.sum()
	return d
}

// encode writes the ring as its file's text.
func (s *state) encode() []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, compact(s.document()), "", "  "); err != nil {
		panic(err) // it was encoded a moment ago
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// parse reads a ring's text. Only white space may differ from what encode
// writes. So members that are unknown, doubled, reordered or spelled otherwise,
// a gap in the numbers and a fingerprint that is not its root's are all refused,
// and nothing is ever lost by reading and writing again.
func parse(text []byte) (*state, error) {
	if len(text) > maxFileLen {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrCorrupt, maxFileLen)
	}
	if format := formatOf(text); format != "" && format != formatV1 {
		return nil, fmt.Errorf("%w: this build reads %s; use the build that wrote the file, or a later one", ErrFormat, formatV1)
	}
	var d document
	if json.Unmarshal(text, &d) != nil {
		return nil, fmt.Errorf("%w: it is cut short or is no JSON document of a key ring; restore it from an export", ErrCorrupt)
	}
	if d.Checksum != d.sum() {
		return nil, fmt.Errorf("%w: its content does not match its checksum; restore it from an export", ErrCorrupt)
	}
	s, err := d.state()
	if err != nil {
		return nil, fmt.Errorf("%w: %w; restore it from an export", ErrCorrupt, err)
	}
	var squeezed bytes.Buffer
	if json.Compact(&squeezed, text) != nil || !bytes.Equal(squeezed.Bytes(), compact(s.document())) {
		return nil, fmt.Errorf("%w: it is not what a ring with these roots is written as; restore it from an export", ErrCorrupt)
	}
	return s, nil
}

// formatOf looks at the format alone, since nothing else is known of a later one.
func formatOf(text []byte) string {
	var head struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(text, &head) != nil {
		return ""
	}
	return head.Format
}

func (d document) state() (*state, error) {
	s := &state{active: d.Active}
	for i, e := range d.Versions {
		v, err := e.version()
		if err != nil {
			return nil, fmt.Errorf("version %d: %w", i+1, err)
		}
		s.versions = append(s.versions, v)
	}
	switch {
	case len(s.versions) > maxVersions:
		return nil, fmt.Errorf("a ring has at most %d versions", maxVersions)
	case s.active < 1 || s.active > len(s.versions):
		return nil, errors.New("the active version is not in it")
	}
	for i, v := range s.versions {
		if v.keys == nil && i+1 >= s.active {
			return nil, fmt.Errorf("version %d is retired but not before the active one", i+1)
		}
	}
	return s, nil
}

func (e entry) version() (version, error) {
	created, err := time.Parse(time.RFC3339, e.CreatedAt)
	if err != nil {
		return version{}, errors.New("created_at is not a time")
	}
	if e.Retired {
		public, err := hex.DecodeString(e.Fingerprint)
		if err != nil || len(public) != fingerprintLen {
			return version{}, fmt.Errorf("its fingerprint is not %d bytes in hexadecimal", fingerprintLen)
		}
		return version{created: created.UTC(), fingerprint: hex.EncodeToString(public)}, nil
	}
	root, err := hex.DecodeString(e.Root)
	if err != nil || len(root) != keyLen {
		return version{}, fmt.Errorf("its root is not %d bytes in hexadecimal", keyLen)
	}
	return newVersion(root, created)
}
