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

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// ErrNoDriver says that the executor is not configured to reach the target.
var ErrNoDriver = errors.New("no driver is configured for the target")

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Store reads histories and standings, and knows the stream's epoch and its server's clock.
type Store interface {
	standing.Reader
	Load(ctx context.Context, aggregate string) (eventstore.History, error)
	Beginning(ctx context.Context, aggregate string) (eventstore.History, error)
	Epoch(ctx context.Context) (string, error)
	Clock(ctx context.Context) (time.Time, error)
}

// Blobs keeps evidence by its content, and gives what is kept.
type Blobs interface {
	Get(ctx context.Context, digest string) ([]byte, error)
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
}

// Site is one executor's reach. It is safe for concurrent use; its exported fields
// are set once.
type Site struct {
	// Name is that of this process, different at each start.
	Name       string
	Drivers    map[string]driver.Driver
	Fetcher    *artifact.Fetcher
	Store      Store
	Procedures Procedures
	Blobs      Blobs
	// Connectors look change records up.
	Connectors changerecord.Connectors
	// Sources are where alerts are asked for, by the names that the document has for them.
	Sources map[string]alerts.Asked
	// Signers is whose signatures this executor demands of every approval, whatever the
	// procedure document says; nil where it demands none of its own accord.
	Signers *policy.Index
	// Seen is asked last before targets are claimed whether the record is the one that this
	// executor has seen; nil where nobody watches that.
	Seen func(ctx context.Context) error
	// Roots are the trusted roots that bundles of approvals are verified with, by digest:
	// those of this executor's own files, whatever came over the bus.
	Roots sigstore.Roots

	claims claims
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
// artifact's content is verified against its digest whenever it is read.
func (s *Site) Plan(ctx context.Context, state procedure.State, target string) (driver.Plan, error) {
	plan, err := s.Back(ctx, state, target)
	if err != nil {
		return plan, err
	}
	pinned := state.PrimaryArtifact()
	fetched, err := s.Fetcher.Fetch(ctx, &releasev1.Artifact{
		Name: pinned.GetName(), Kind: pinned.GetKind(), Location: pinned.GetLocation(), Digest: pinned.GetDigest(),
	})
	if err != nil {
		return plan, err
	}
	plan.Artifact = fetched
	return plan, nil
}

// Back is PlanBack with how far the target remembered when the newest release let it go.
func (s *Site) Back(ctx context.Context, state procedure.State, target string) (driver.Plan, error) {
	plan := PlanBack(state, target)
	now, err := standing.ReadTarget(ctx, s.Store, target)
	plan.Mark = now.State.GetMark()
	return plan, err
}

// PlanBack is the plan without the artifact's content. The way back needs no more:
// what the target goes back to is there, and a registry that is down, or that has
// lost the new artifact, must not keep a target from going back to it. It leads where
// the preview said that people approved, and nowhere else (PD-3.5).
func PlanBack(state procedure.State, target string) driver.Plan {
	pinned := state.PrimaryArtifact()
	named := &releasev1.Artifact{
		Name: pinned.GetName(), Kind: pinned.GetKind(), Location: pinned.GetLocation(), Digest: pinned.GetDigest(),
	}
	before := state.Preview(target).GetRollbackDigest()
	return driver.Plan{
		Release: state.Release, Target: target, Version: state.Request.GetVersion(), Artifact: artifact.New(named, pinned.GetSize(), nil),
		Previous: before, PreviousVersion: VersionOf(state, target, before),
		Approved:   state.Preview(target).GetDiffDigest(),
		Parameters: state.Request.GetPlan().GetParameters(),
	}
}

// VersionOf is the version of what a target carries or carried, by the record; "" where
// the record does not know that digest.
func VersionOf(state procedure.State, target, digest string) string {
	seen := state.Scoped(target).GetState()
	for _, d := range []*releasev1.Deployment{seen.GetDeployed(), seen.GetPrevious()} {
		if d.GetDigest() == digest {
			return d.GetVersion()
		}
	}
	return ""
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
