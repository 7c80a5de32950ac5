package kubetest

import (
	"context"
	"crypto/x509"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	// envShared is the variable of the environment that has the folder of a cluster which Run
	// started.
	envShared = "SHIPWARDEN_KUBETEST"
	// urlFile is what Run leaves in that folder when the cluster can be used.
	urlFile = "url"
)

var errNoCommand = errors.New("which command?")

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

// Shared is the cluster that Run has started for several test binaries; without one that of
// this test binary, started when the first test asks for it; and where TestMain does not call
// Main either, one of the test's own. What lies in no namespace is everybody's there.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	dir := os.Getenv(envShared)
	if dir == "" && !shared.inMain {
		return Start(t)
	}
	if shared.cluster == nil && shared.err == nil {
		if dir != "" {
			shared.cluster, shared.err = join(dir)
		} else {
			shared.cluster, shared.err = start(t.Context())
		}
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// Run starts a cluster, runs a command, in which the Shared of every test binary is that cluster,
// and stops it when the command has ended. The command, whose name and arguments are argv, has the
// input, the outputs and the environment of this process; it is interrupted when ctx ends. Its
// failure is an *exec.ExitError.
func Run(ctx context.Context, argv []string) error {
	if len(argv) == 0 {
		return errNoCommand
	}
	c, err := start(ctx)
	if err != nil {
		return err
	}
	defer c.Stop()
	if err := os.WriteFile(c.keys.path(urlFile), []byte(c.URL), 0o600); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), envShared+"="+c.keys.dir)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	return command.Run()
}

// join is the cluster that another process runs, with what lies in the folder. Stop does nothing
// to it.
func join(dir string) (*Cluster, error) {
	k := &keys{dir: dir, pool: x509.NewCertPool(), tokens: map[Identity]string{}}
	url, err := os.ReadFile(k.path(urlFile))
	if err != nil {
		return nil, fmt.Errorf("%s: no cluster: %w", envShared, err)
	}
	if k.ca, err = os.ReadFile(k.path("ca.crt")); err != nil {
		return nil, err
	}
	k.pool.AppendCertsFromPEM(k.ca)
	known, err := os.ReadFile(k.path("tokens.csv"))
	if err != nil {
		return nil, err
	}
	lines, err := csv.NewReader(strings.NewReader(string(known))).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		k.tokens[Identity(line[1])] = line[0]
	}
	return &Cluster{URL: string(url), keys: k}, nil
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
