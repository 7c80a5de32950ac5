package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// checkTimeout bounds one readiness check; a check that hangs is a failing one.
const checkTimeout = 2 * time.Second

var (
	// ErrDraining means that the service is on its way out and takes no new work.
	ErrDraining = errors.New("service is draining")
	// ErrNotReady means that a readiness check fails.
	ErrNotReady = errors.New("service is not ready")
)

// Health knows whether a service can work. Its methods may be called from
// several goroutines. The zero value is ready to use.
type Health struct {
	mu       sync.Mutex
	checks   []check
	draining bool
}

type check struct {
	name string
	run  func(context.Context) error
}

// Result is the outcome of one readiness check.
type Result struct {
	Name string
	// Err is nil when the check passes.
	Err error
}

// Add adds a readiness check: the service is ready while all of them return nil.
// The name is shown; the check must heed its context.
func (h *Health) Add(name string, run func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name: name, run: run})
}

// Drain makes the service not ready for good. Call it before anything stops, so
// that whoever routes work here looks elsewhere first.
func (h *Health) Drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.draining = true
}

// Check runs all checks at the same time and returns their results by name.
func (h *Health) Check(ctx context.Context) []Result {
	h.mu.Lock()
	checks, draining := slices.Clone(h.checks), h.draining
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make([]Result, len(checks))
	var wait sync.WaitGroup
	for i, c := range checks {
		wait.Go(func() { results[i] = Result{Name: c.name, Err: c.run(ctx)} })
	}
	wait.Wait()
	slices.SortFunc(results, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	if draining {
		return slices.Concat(results, []Result{{Name: "drain", Err: ErrDraining}})
	}
	return results
}

// Ready returns nil when every check passes, else an error that wraps
// ErrNotReady and says which ones fail and why.
func (h *Health) Ready(ctx context.Context) error {
	var failing []error
	for _, result := range h.Check(ctx) {
		if result.Err != nil {
			failing = append(failing, fmt.Errorf("%s: %w", result.Name, result.Err))
		}
	}
	if len(failing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrNotReady, errors.Join(failing...))
}
