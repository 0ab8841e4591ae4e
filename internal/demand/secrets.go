package demand

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync/atomic"

	"github.com/shoal-ci/shoal/internal/fleet"
)

// keyring compares what a request shows with the secrets, in a time that depends on
// neither: both sides are hashed, with a salt of this process, so that their lengths
// are the same and the compared bytes nobody's choice; and all are compared, whichever
// matches.
type keyring struct {
	salt   [sha256.Size]byte
	hashes atomic.Pointer[[][sha256.Size]byte]
}

func (k *keyring) shuffle() { _, _ = rand.Read(k.salt[:]) } // it never fails

func (k *keyring) set(secrets []fleet.Token) {
	hashes := make([][sha256.Size]byte, 0, len(secrets))
	for _, s := range secrets {
		if !s.IsZero() {
			hashes = append(hashes, k.hash(s.Reveal()))
		}
	}
	k.hashes.Store(&hashes)
}

// empty tells whether there is no secret, so that every event is refused.
func (k *keyring) empty() bool {
	hashes := k.hashes.Load()
	return hashes == nil || len(*hashes) == 0
}

func (k *keyring) hash(s string) [sha256.Size]byte {
	h := sha256.New()
	h.Write(k.salt[:])
	h.Write([]byte(s))
	return [sha256.Size]byte(h.Sum(nil))
}

// holds tells whether given is one of the secrets. With no secret it holds nothing.
func (k *keyring) holds(given string) bool {
	hashes := k.hashes.Load()
	if hashes == nil {
		return false
	}
	got, match := k.hash(given), 0
	for i := range *hashes {
		match |= subtle.ConstantTimeCompare(got[:], (*hashes)[i][:])
	}
	return match == 1
}
