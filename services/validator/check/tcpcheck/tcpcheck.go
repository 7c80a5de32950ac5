// Package tcpcheck opens a connection to a target and closes it again.
package tcpcheck

import (
	"context"
	"errors"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Prober takes the samples of TCP checks (PD-6.1). It is safe for concurrent use.
type Prober struct{}

var _ check.Prober = Prober{}

// Probe connects once. A connection that is refused, or not taken until the timeout,
// is a failure; that the target could not be asked is an error. Nothing is sent, so a
// pass says that somebody listens, and no more.
func (Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	conn, err := t.Dial(ctx)
	switch {
	case errors.Is(err, target.ErrNoAnswer):
		return check.Observation{Outcome: check.Failed, Detail: err.Error()}
	case err != nil:
		return check.Observation{Outcome: check.Error, Detail: err.Error()}
	}
	remote := conn.RemoteAddr().String()
	if err := conn.Close(); err != nil {
		return check.Observation{Outcome: check.Passed, Detail: "connected to " + remote + ", not closed cleanly"}
	}
	return check.Observation{Outcome: check.Passed, Detail: "connected to " + remote}
}
