package kubetest

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var errNoMain = errors.New("the test binary has no TestMain that calls kubetest.Main")

// shared is the cluster of this test binary.
var shared struct {
	mu      sync.Mutex
	inMain  bool
	cluster *Cluster
	err     error // Why the first start failed, for all later tests.
}

// Main runs the tests and then stops the cluster. Call it, and nothing after it, in
// TestMain: it ends the process with the tests' exit status.
func Main(m *testing.M) {
	shared.mu.Lock()
	shared.inMain = true
	shared.mu.Unlock()
	status := m.Run()
	shared.mu.Lock()
	if shared.cluster != nil {
		shared.cluster.Stop()
	}
	shared.mu.Unlock()
	os.Exit(status)
}

// Shared is the cluster of the test binary, started when the first test asks for it.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil && shared.err == nil {
		if shared.err = errNoMain; shared.inMain {
			shared.cluster, shared.err = start(t.Context())
		}
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// Token is what the API server knows the identity by.
func (c *Cluster) Token(who Identity) string { return c.keys.tokens[who] }

// CA is the certificate of who has signed the API server's, in PEM.
func (c *Cluster) CA() []byte { return c.keys.ca }

// Kubeconfig writes a kubeconfig of the identity, whose namespace is the one given, and
// returns where it is. It is removed with the test.
func (c *Cluster) Kubeconfig(t testing.TB, who Identity, namespace string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), string(who)+".kubeconfig")
	if err := c.keys.kubeconfig(path, c.URL, who, namespace); err != nil {
		t.Fatal(err)
	}
	return path
}
