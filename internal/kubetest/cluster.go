package kubetest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/dirlock"
)

const (
	// dirPattern names the folders of clusters below the system's temporary folder, so
	// that a later test binary finds those of killed ones.
	dirPattern = "swkubetest-"
	// readyTime bounds how long a cluster may take to start: 4 s where processors are free.
	readyTime = 3 * time.Minute
	// startAttempts bounds how often the ports are given up because another process took
	// one of them in between.
	startAttempts = 3
)

var errEnded = errors.New("has ended")

// stages say what becomes of pods, nodes and claims.
//
//go:embed stages.yaml
var stages []byte

// nodes are the names of the nodes that kwok plays.
var nodes = []string{"node-a", "node-b"}

// Cluster is a control plane that runs, with two nodes. Several goroutines may use it.
type Cluster struct {
	// URL is where the API server is, https://127.0.0.1:port.
	URL string

	keys *keys
	lock *dirlock.Lock
	// dir is the folder of all that it keeps.
	dir       string
	processes []*process
}

// Start starts a cluster of the test's own, which ends with the test.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c, err := start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// Stop ends every process of the cluster at once, and removes what they kept. A second call
// does nothing.
func (c *Cluster) Stop() {
	for _, p := range slices.Backward(c.processes) {
		p.stop()
	}
	c.processes = nil
	if c.lock != nil {
		_ = os.RemoveAll(c.dir)
		c.lock.Release()
		c.lock = nil
	}
}

func start(ctx context.Context) (*Cluster, error) {
	path, err := program(ctx)
	if err != nil {
		return nil, err
	}
	sweep()
	for attempt := 1; ; attempt++ {
		c, err := attemptStart(ctx, path)
		if err == nil || attempt == startAttempts || !errors.Is(err, errEnded) {
			return c, err
		}
	}
}

func attemptStart(ctx context.Context, program string) (c *Cluster, err error) {
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return nil, err
	}
	c = &Cluster{dir: dir}
	if c.lock, err = dirlock.Acquire(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Stop()
			c = nil
		}
	}()
	if c.keys, err = makeKeys(dir); err != nil {
		return c, err
	}
	if err := os.WriteFile(c.keys.path("stages.yaml"), stages, 0o600); err != nil {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return c, c.bringUp(ctx, program)
}

// bringUp starts the components, each as soon as what it needs is there, and returns when
// pods can be made.
func (c *Cluster) bringUp(ctx context.Context, program string) error {
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	c.URL = "https://127.0.0.1:" + ports[2]
	admin := c.keys.path("admin.kubeconfig")
	if err := c.keys.kubeconfig(admin, c.URL, Admin, "default"); err != nil {
		return err
	}
	run := func(name string, args ...string) error {
		p, err := run(program, c.keys.dir, name, args...)
		if err == nil {
			c.processes = append(c.processes, p)
		}
		return err
	}
	if err := errors.Join(
		run("etcd", etcdArgs(c.keys, ports[0], ports[1])...),
		run("kube-apiserver", apiserverArgs(c.keys, ports[0], ports[2])...),
	); err != nil {
		return err
	}
	client := c.Client(Admin)
	if err := c.wait(ctx, "the API server answers", func() bool { return client.status(ctx, http.MethodGet, "/readyz", nil) == http.StatusOK }); err != nil {
		return err
	}
	if err := errors.Join(
		run("kube-controller-manager", controllersArgs(c.keys, admin)...),
		run("kube-scheduler", schedulerArgs(admin)...),
		run("kwok", kwokArgs(c.keys, admin, ports[3])...),
	); err != nil {
		return err
	}
	for _, o := range foundation() {
		what := fmt.Sprintf("%s can be made", o.path)
		if err := c.wait(ctx, what, func() bool {
			status := client.status(ctx, http.MethodPost, o.path, o.content)
			return status == http.StatusCreated || status == http.StatusConflict
		}); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		if err := c.wait(ctx, node+" is ready", func() bool { return client.hasCondition(ctx, "/api/v1/nodes/"+node, "Ready") }); err != nil {
			return err
		}
	}
	return c.wait(ctx, "pods can be made", func() bool { return client.status(ctx, http.MethodGet, account("default"), nil) == http.StatusOK })
}

// wait polls until holds, and ends early when a component has ended.
func (c *Cluster) wait(ctx context.Context, what string, holds func() bool) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		for _, p := range c.processes {
			if err := p.check(); err != nil {
				return fmt.Errorf("waiting until %s: %w", what, err)
			}
		}
		select {
		case <-ctx.Done():
			last := c.processes[len(c.processes)-1]
			return fmt.Errorf("waiting until %s: %w; %s says last:\n%s", what, ctx.Err(), last.name, last.tail())
		case <-ticker.C:
		}
	}
	return nil
}

// freePorts asks the kernel for ports that nobody listens on.
func freePorts(n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("reserve port: %w", err)
		}
		// Kept open until all are known, so that no port comes twice.
		defer func() { _ = listener.Close() }()
		if _, ports[i], err = net.SplitHostPort(listener.Addr().String()); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

// sweep removes the folders of test binaries that were killed before they could. Whoever can
// lock one knows that its binary is gone, and its processes with it. Young folders are
// spared: one made this very moment may not be locked yet.
func sweep() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPattern+"*"))
	for _, dir := range dirs {
		info, err := os.Stat(filepath.Join(dir, dirlock.Name))
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if lock, err := dirlock.Acquire(dir); err == nil {
			_ = os.RemoveAll(dir) // What cannot go now goes the next time.
			lock.Release()
		}
	}
}
