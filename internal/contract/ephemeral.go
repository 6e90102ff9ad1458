package contract

import "crypto/rand"

// NewKeys makes keys that live in memory only, to check events that are not stored: a
// pack's examples. Nothing that they hash can be found again.
func NewKeys() *Keys {
	secret := func() []byte {
		b := make([]byte, keySize)
		_, _ = rand.Read(b) // never fails (crypto/rand since Go 1.24)
		return b
	}
	return &Keys{identity: secret(), digest: secret(), pseudonyms: [][]byte{secret()}}
}
