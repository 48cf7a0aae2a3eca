package keyring

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// Export writes the whole ring, encrypted to every one of recipients, as
// armored age text: it survives a terminal, a mail and a vault's text field.
func (r *Ring) Export(w io.Writer, recipients ...age.Recipient) error {
	armored := armor.NewWriter(w)
	encrypted, err := age.Encrypt(armored, recipients...) // refuses to encrypt to nobody
	if err != nil {
		return fmt.Errorf("exporting the key ring: %w", err)
	}
	if _, err := encrypted.Write(r.current.Load().encode()); err != nil {
		return err
	}
	if err := encrypted.Close(); err != nil {
		return err
	}
	return armored.Close()
}

// Import reads an export, armored or not, with one of identities and writes the
// ring to path, under Create's promises. If the same ring is there, the two are
// merged: no version is lost, the later active version holds, and what either
// side has retired is retired. Another ring there is left alone: [ErrOther].
// What does not decrypt or is no ring changes nothing.
func Import(r io.Reader, path string, identities ...age.Identity) (*Ring, error) {
	imported, err := decrypt(r, identities)
	if err != nil {
		return nil, fmt.Errorf("importing a key ring: %w", err)
	}
	merged, err := changeFile(path, func(s *state) (*state, error) { return join(s, imported) })
	if errors.Is(err, fs.ErrNotExist) {
		merged, err = imported, createFile(path, imported)
	}
	if err != nil {
		return nil, fmt.Errorf("importing into %s: %w", path, err)
	}
	return newRing(path, merged), nil
}

func decrypt(r io.Reader, identities []age.Identity) (*state, error) {
	// An export's armor and header are small beside the largest ring; what is
	// longer is cut and then refused as damaged.
	buffered := bufio.NewReader(io.LimitReader(r, 2*maxFileLen))
	var source io.Reader = buffered
	if start, _ := buffered.Peek(len(armor.Header)); strings.HasPrefix(string(start), armor.Header) {
		source = armor.NewReader(buffered)
	}
	plain, err := age.Decrypt(source, identities...)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(plain, maxFileLen+1))
	if err != nil {
		return nil, err
	}
	return parse(text)
}
