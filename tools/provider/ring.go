package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// ring are the provider's keys: it signs with the newest, and shows all.
type ring struct {
	guard sync.Mutex
	keys  []key
	made  int
}

// key is one of them.
type key struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
}

// turn makes a new key the one that signs.
func (r *ring) turn(algorithm string) error {
	var private crypto.Signer
	var err error
	switch algorithm {
	case "RS256", "RS512":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("unknown algorithm %q", algorithm)
	}
	if err != nil {
		return err
	}
	r.guard.Lock()
	defer r.guard.Unlock()
	r.made++
	r.keys = append(r.keys, key{fmt.Sprintf("key-%d", r.made), jose.SignatureAlgorithm(algorithm), private})
	return nil
}

// forget takes all keys but the newest back.
func (r *ring) forget() {
	r.guard.Lock()
	defer r.guard.Unlock()
	r.keys = r.keys[len(r.keys)-1:]
}

func (r *ring) newest() key {
	r.guard.Lock()
	defer r.guard.Unlock()
	return r.keys[len(r.keys)-1]
}

// SigningKey implements op.Storage.
func (s *shelf) SigningKey(context.Context) (op.SigningKey, error) {
	return signing{s.ring.newest()}, nil
}

// SignatureAlgorithms implements op.Storage.
func (s *shelf) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{s.ring.newest().algorithm}, nil
}

// KeySet implements op.Storage.
func (s *shelf) KeySet(context.Context) ([]op.Key, error) {
	s.ring.guard.Lock()
	defer s.ring.guard.Unlock()
	var out []op.Key
	for _, k := range s.ring.keys {
		out = append(out, public{k})
	}
	return out, nil
}

type signing struct{ key }

// ID implements op.SigningKey.
func (s signing) ID() string { return s.id }

// SignatureAlgorithm implements op.SigningKey.
func (s signing) SignatureAlgorithm() jose.SignatureAlgorithm { return s.algorithm }

// Key implements op.SigningKey.
func (s signing) Key() any { return s.private }

type public struct{ key }

// ID implements op.Key.
func (p public) ID() string { return p.id }

// Algorithm implements op.Key.
func (p public) Algorithm() jose.SignatureAlgorithm { return p.algorithm }

// Use implements op.Key.
func (public) Use() string { return "sig" }

// Key implements op.Key.
func (p public) Key() any { return p.private.Public() }
