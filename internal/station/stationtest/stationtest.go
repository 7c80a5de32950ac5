// Package stationtest makes the part of a configuration that every service has, for
// tests, with all of its files.
package stationtest

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Common is a configuration of that service with which nothing is wrong, and which
// leads to a bus that nobody runs.
func Common(t testing.TB, service string) *configv1.Common {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(envelopetest.PrivateKey(service))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := protojson.Marshal(envelopetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &configv1.Common{
		Nats: &configv1.Nats{Urls: []string{"nats://127.0.0.1:1"}},
		SigningKey: &configv1.SigningKey{
			Id: envelopetest.KeyID(service), File: File(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))),
		},
		KeyringFile: File(t, "keyring.json", string(ring)), HttpListen: "127.0.0.1:0",
	}
}

// File is a file that only its owner may read.
func File(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Named fails the test where the error does not have exactly one line for each of the
// fields, in their order and beginning with it.
func Named(t testing.TB, err error, fields ...string) {
	t.Helper()
	var lines []string
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	if len(lines) != len(fields) {
		t.Fatalf("it says %v, and %v are at fault", err, fields)
	}
	for i, field := range fields {
		if !strings.HasPrefix(lines[i], field+": ") {
			t.Errorf("it says %q of %s", lines[i], field)
		}
	}
}
