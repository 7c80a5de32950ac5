package site

import (
	"context"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// maxFound bounds, in bytes, what is said of where something was found: there is one for
// each target, beside the driver's own words.
const maxFound = 160

// Proof looks whether targets of one release can go back, and remembers for as long as it
// lives what it read: a hundred targets that go back to one image ask for it once. It is
// for one caller at a time.
type Proof struct {
	site  *Site
	state procedure.State
	// read is what became of looking for the artifact that a release placed.
	read map[string]error
}

// Proof is a look at the way back of a release.
func (s *Site) Proof(state procedure.State) *Proof {
	return &Proof{site: s, state: state, read: map[string]error{}}
}

// Of tries what can be tried without changing anything to show that a target can go back
// to a digest (PD-3.5): the driver's dry run, and, where the driver does not keep what it
// places, the artifact itself where the release took it from that placed it. An error
// means that nobody can tell just now; what will not become right by trying again is in
// the proof.
func (p *Proof) Of(ctx context.Context, target, back string) (*releasev1.RollbackProof, driver.DryRun, error) {
	d, err := p.site.Driver(target)
	if err != nil {
		return nil, driver.DryRun{}, err
	}
	plan := PlanBack(p.state, target)
	plan.Previous, plan.PreviousVersion = back, VersionOf(p.state, target, back)
	run, err := d.DryRunRollback(ctx, plan)
	if err != nil {
		return nil, driver.DryRun{}, fmt.Errorf("target %s: %w", target, err)
	}
	run.Reason, run.Steps, run.Output = redacted(run.Reason), redacted(run.Steps), redacted(run.Output)
	seen := p.state.Scoped(target).GetState()
	out := &releasev1.RollbackProof{
		Target: target, Digest: back, Possible: run.Possible, Source: run.Source,
		First: back == "" && seen.GetDeployed() == nil && seen.GetUnknownSince() == "" && seen.GetGeneration() == 0,
	}
	switch {
	case back == "":
		out.Found = "there is nothing to look for"
	case run.Source != releasev1.RollbackProof_SOURCE_ORIGIN:
		out.Obtainable, out.Found = run.Possible, cut(run.Reason, maxFound)
	default:
		where, why := p.origin(ctx, target, back)
		if why != nil && !Permanent(why) && !errors.As(why, &unrecorded{}) {
			return nil, run, fmt.Errorf("what target %s would go back to: %w", target, why)
		}
		found := "verified at " + where
		if why != nil {
			found = inShort(where, why)
		}
		out.Obtainable, out.Found = why == nil, cut(found, maxFound)
	}
	return out, run, nil
}

// inShort says why something is not where it should be, the reason first: what comes behind
// it may be cut.
func inShort(where string, why error) string {
	for _, kind := range []error{artifact.ErrNotFound, artifact.ErrDigest, artifact.ErrRefused} {
		if errors.Is(why, kind) {
			return fmt.Sprintf("%v at %s (%v)", kind, where, why)
		}
	}
	return why.Error()
}

// redacted is a driver's text without what looks like a secret: it is on record for good.
func redacted(text string) string {
	clean, _ := argv.Redact([]byte(text))
	return string(clean)
}

// origin looks for what a target would go back to where the release took it from that
// placed it, and verifies it by its digest: a file to its last byte, an image with all its
// manifests and configurations and that every layer is there.
func (p *Proof) origin(ctx context.Context, target, back string) (string, error) {
	release := ""
	seen := p.state.Scoped(target).GetState()
	for _, d := range []*releasev1.Deployment{seen.GetPrevious(), seen.GetDeployed()} {
		if d.GetDigest() == back {
			release = d.GetRelease()
		}
	}
	if release == "" {
		return "", unrecorded{"no release is on record that placed " + back}
	}
	h, err := p.site.Store.Beginning(ctx, procedure.Aggregate(release))
	if err != nil {
		return "", err
	}
	placed, _ := procedure.Fold(release, h.Entries)
	a := placed.PrimaryArtifact()
	if a.GetDigest() != back {
		return "", unrecorded{fmt.Sprintf("release %s is said to have placed %s, and its record does not say where from", release, back)}
	}
	key := a.GetLocation() + "@" + a.GetDigest()
	why, looked := p.read[key]
	if !looked {
		_, why = p.site.Fetcher.Fetch(ctx, &releasev1.Artifact{
			Name: a.GetName(), Kind: a.GetKind(), Location: a.GetLocation(), Digest: a.GetDigest(),
		})
		p.read[key] = why
	}
	return a.GetLocation(), why
}

// unrecorded says that the record does not know where something came from.
type unrecorded struct{ why string }

func (u unrecorded) Error() string { return u.why }
