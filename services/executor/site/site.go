// Package site is what the executor's steps have in common: the drivers of its
// targets, the artifacts that it may fetch, and the locks that it holds. It makes a
// driver's plan out of a release's record, and out of nothing else (PD-5.1).
package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// ErrNoDriver says that the executor is not configured to reach the target.
var ErrNoDriver = errors.New("no driver is configured for the target")

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Store reads histories and standings, and knows the stream's epoch.
type Store interface {
	standing.Reader
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
	Append(ctx context.Context, drafts ...eventstore.Draft) ([]eventstore.Stored, error)
	Epoch(ctx context.Context) (string, error)
}

// Blobs keeps evidence by its content.
type Blobs interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
}

// Site is one executor's reach. It is safe for concurrent use; its fields are set
// once.
type Site struct {
	// Name is that of this process, different at each start.
	Name       string
	Drivers    map[string]driver.Driver
	Fetcher    *artifact.Fetcher
	Store      Store
	Procedures Procedures
	Blobs      Blobs
}

// Driver returns the driver of a target.
func (s *Site) Driver(target string) (driver.Driver, error) {
	d, ok := s.Drivers[target]
	if !ok {
		return nil, fmt.Errorf("target %s: %w", target, ErrNoDriver)
	}
	return d, nil
}

// Plan is what is to be done to a target for a release, from the record alone. The
// artifact's content is verified against its digest whenever it is read. Beside an
// error that is Permanent the plan is whole but for the artifact's content, which
// the way back does not need.
func (s *Site) Plan(ctx context.Context, state procedure.State, target string) (driver.Plan, error) {
	pinned := state.PrimaryArtifact()
	named := &releasev1.Artifact{
		Name: pinned.GetName(), Kind: pinned.GetKind(), Location: pinned.GetLocation(), Digest: pinned.GetDigest(),
	}
	before := state.Scoped(target).GetState().GetDeployed()
	plan := driver.Plan{
		Target: target, Version: state.Request.GetVersion(), Artifact: artifact.New(named, pinned.GetSize(), nil),
		Previous: before.GetDigest(), PreviousVersion: before.GetVersion(),
		Parameters: state.Request.GetPlan().GetParameters(),
	}
	fetched, err := s.Fetcher.Fetch(ctx, named)
	if err != nil {
		return plan, err
	}
	plan.Artifact = fetched
	return plan, nil
}

// Verify reads every artifact of a release to its end, so that it is known to be
// what was approved. Errors wrap those of package artifact.
func (s *Site) Verify(ctx context.Context, state procedure.State) error {
	for _, p := range state.Artifacts {
		a, err := s.Fetcher.Fetch(ctx, &releasev1.Artifact{
			Name: p.GetName(), Kind: p.GetKind(), Location: p.GetLocation(), Digest: p.GetDigest(),
		})
		if err != nil {
			return err
		}
		if err := readThrough(ctx, a); err != nil {
			return fmt.Errorf("artifact %s: %w", p.GetName(), err)
		}
	}
	return nil
}

func readThrough(ctx context.Context, a artifact.Artifact) error {
	content, err := a.Open(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, content)
	return errors.Join(err, content.Close())
}

// Permanent reports whether an artifact will not become right by trying again.
func Permanent(err error) bool {
	return errors.Is(err, artifact.ErrDigest) || errors.Is(err, artifact.ErrNotFound) || errors.Is(err, artifact.ErrRefused)
}

// Locks returns the drafts that lock targets for a release, to be stored in one
// batch with the claim: either the release has all of them, or it has none (PD-5.2).
// Busy names the release that holds one of them; nothing may be stored then.
func (s *Site) Locks(ctx context.Context, t reactor.Task, targets []string, lease time.Time) (locks []eventstore.Draft, busy string, err error) {
	for _, id := range targets {
		target, err := standing.ReadTarget(ctx, s.Store, id)
		if err != nil {
			return nil, "", err
		}
		if target.LockedBy != "" && target.LockedBy != t.State.Release {
			return nil, target.LockedBy, nil
		}
		locks = append(locks, t.Stamp(target.Draft(&releasev1.Event{Data: &releasev1.Event_TargetLocked{
			TargetLocked: &releasev1.TargetLocked{
				Release: t.State.Release, ChangeDigest: t.State.ChangeDigest, Claimer: s.Name,
				LeaseUntil: timestamppb.New(lease), State: target.State,
			},
		}})))
	}
	return locks, "", nil
}

// Fence returns the fence under which this executor may change a target: the place
// of its own lock, read back from the stream. Without such a lock somebody else has
// the target, and the error is driver.ErrStaleFence.
func (s *Site) Fence(ctx context.Context, release, target string) (driver.Fence, error) {
	epoch, err := s.Store.Epoch(ctx)
	if err != nil {
		return driver.Fence{}, err
	}
	t, err := standing.ReadTarget(ctx, s.Store, target)
	if err != nil {
		return driver.Fence{}, err
	}
	if t.LockedBy != release || t.Claimer != s.Name {
		return driver.Fence{}, fmt.Errorf("target %s: %w", target, driver.ErrStaleFence)
	}
	return driver.Fence{Epoch: epoch, Sequence: t.Fence}, nil
}

// Mine reports whether this delivery is to work on the newest claim: whether this
// process made it, or whoever made it is gone. Somebody is gone when the message on
// which they worked is delivered again, or when their lease is over.
func (s *Site) Mine(t reactor.Task, claimedBy string) (mine, gone bool) {
	if t.State.Claim.Claimer == s.Name {
		return true, false
	}
	again := t.Delivery > 1 && t.Cause.Event.GetId() == claimedBy
	return false, again || !t.Now.Before(t.State.Claim.LeaseUntil)
}

// CausedBy returns the id of the event on which the newest claim was made.
func CausedBy(h eventstore.History, claim procedure.Claim) string {
	for _, e := range h.Entries {
		if e.Sequence == claim.Sequence {
			return e.Event.GetCausationId()
		}
	}
	return ""
}
