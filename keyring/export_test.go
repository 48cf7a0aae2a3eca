package keyring

import "latchkey.dev/latchkey"

// PepperDigest and PepperDigestForeign digest under a given pepper, for the
// vectors that were written before there was a ring.
func PepperDigest(pepper []byte, key latchkey.Plaintext) ([32]byte, error) {
	m, err := newMAC(pepper, digestLabel)
	if err != nil {
		return [32]byte{}, err
	}
	return m.digest(key), nil
}

func PepperDigestForeign(pepper []byte, sha [32]byte) ([32]byte, error) {
	m, err := newMAC(pepper, foreignLabel)
	if err != nil {
		return [32]byte{}, err
	}
	return m.sum(sha[:]), nil
}
