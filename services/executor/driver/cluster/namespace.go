package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// label is what a name of a target and of a namespace is made of (RFC 1123).
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Namespace is where a target lies. It is safe for concurrent use.
type Namespace struct {
	// Target is the target's id.
	Target string
	// Name is the name of the namespace.
	Name string

	kubeconfig string
	// installation is the name of this one; "" for none.
	installation string
	wrap         func(http.RoundTripper) http.RoundTripper

	mu    sync.Mutex
	known *Server
	seen  [32]byte
}

// New checks the names, and that the kubeconfig is an absolute path; it reaches nobody. Installation is
// the name of this installation of Shipwarden, "" for none: what belongs to another one is refused.
// Wrap, which may be nil, stands between all requests and the server. The error names every field at
// fault.
func New(target, namespace, kubeconfig, installation string, wrap func(http.RoundTripper) http.RoundTripper) (*Namespace, error) {
	var problems []error
	if !filepath.IsAbs(kubeconfig) {
		problems = append(problems, errors.New("kubeconfig_file: must be an absolute path"))
	}
	if !label.MatchString(namespace) {
		problems = append(problems, fmt.Errorf("namespace: %q is no name of a namespace", namespace))
	}
	if !label.MatchString(target) || len(target) > 63 {
		problems = append(problems, fmt.Errorf("target: %q is no name of an object of Kubernetes", target))
	}
	if installation != "" && !label.MatchString(installation) {
		problems = append(problems, fmt.Errorf("installation: %q is no name", installation))
	}
	return &Namespace{Target: target, Name: namespace, kubeconfig: kubeconfig, installation: installation, wrap: wrap}, errors.Join(problems...)
}

// Running is what the newest complete change placed. While a change is pending nobody can tell.
func (n *Namespace) Running(ctx context.Context) (string, error) {
	r, err := n.Look(ctx)
	if err != nil {
		return "", fmt.Errorf("ask what target %s carries: %w", n.Target, err)
	}
	if r.Pending {
		return "", fmt.Errorf("target %s: %s has begun and is not complete: %w", n.Target, r.Key, driver.ErrUnknown)
	}
	return r.Carries, nil
}

// Probe says by the record what became of an attempt.
func (n *Namespace) Probe(ctx context.Context, key driver.Key) (driver.Status, error) {
	if err := key.Validate(); err != nil {
		return driver.StatusUnknown, err
	}
	r, err := n.Look(ctx)
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", n.Target, err)
	}
	return r.Status(key), nil
}

// Look reads the record, for somebody who changes nothing.
func (n *Namespace) Look(ctx context.Context) (Record, error) {
	ctx, cancel := context.WithTimeout(ctx, LookTime)
	defer cancel()
	c, err := n.Open()
	if err != nil {
		return Record{}, err
	}
	return n.Load(ctx, c)
}
