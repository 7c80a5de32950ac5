package site

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// keepClaims bounds how many claims are remembered; few are ever at work at a time.
const keepClaims = 256

// claims remembers when this process sent its newest claims. A claim's deadline is
// judged by the server's clock, and this machine's calendar may be minutes off.
type claims struct {
	mu   sync.Mutex
	sent []sentClaim
}

type sentClaim struct {
	release  string
	deadline time.Time
	at       time.Time
}

func (c *claims) remember(release string, deadline, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent[max(0, len(c.sent)-keepClaims+1):], sentClaim{release, deadline, at})
}

// when returns when the claim with that deadline was sent.
func (c *claims) when(release string, deadline time.Time) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sent {
		if s.release == release && s.deadline.Equal(deadline) {
			return s.at, true
		}
	}
	return time.Time{}, false
}

// Until is the deadline of this process's claim by this machine's clocks: as long
// after the claim was sent as the record's deadline is after it was stored. It was
// stored later than it was sent, so the record's clock shows no more than that, however
// far this machine's calendar is off.
func (s *Site) Until(t reactor.Task) time.Time {
	sent, ok := s.claims.when(t.State.Release, t.State.Claim.Deadline)
	if !ok {
		return t.State.Claim.Deadline
	}
	for _, e := range t.History.Entries {
		if e.Sequence == t.State.Claim.Sequence {
			return sent.Add(t.State.Claim.Deadline.Sub(e.Stored))
		}
	}
	return t.State.Claim.Deadline
}

// Holds returns an error that wraps driver.ErrStaleFence unless the claim is the one in
// work, by the stream and not by a clock: it is asked when something is to begin that
// nobody could stop, by an executor that may have slept since it looked.
func (s *Site) Holds(ctx context.Context, t reactor.Task) error {
	h, err := s.Store.Load(ctx, t.History.Aggregate)
	if err != nil {
		return err
	}
	now, _ := procedure.Fold(t.State.Release, h.Entries)
	if now.Phase != t.State.Phase || now.Claim.Sequence != t.State.Claim.Sequence {
		return fmt.Errorf("the claim of %s is over: %w", t.State.Release, driver.ErrStaleFence)
	}
	return nil
}
