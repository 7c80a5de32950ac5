package site

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff asks the tool of a target's own what a release would change there, where one is
// configured: for a target that would go back to that digest, by the record alone. What its
// driver says of why it failed is without what looks like a secret.
func (s *Site) Diff(ctx context.Context, state procedure.State, target, back string) (driver.Diff, error) {
	d, err := s.Driver(target)
	if err != nil {
		return driver.Diff{}, err
	}
	plan := PlanBack(state, target)
	plan.Previous, plan.PreviousVersion = back, VersionOf(state, target, back)
	// Most tools say what would change without the artifact; one that reads it fetches it.
	named := &releasev1.Artifact{
		Name: plan.Artifact.Name, Kind: plan.Artifact.Kind, Location: plan.Artifact.Location, Digest: plan.Artifact.Digest,
	}
	plan.Artifact = artifact.New(named, plan.Artifact.Size, func(ctx context.Context) (io.ReadCloser, error) {
		fetched, err := s.Fetcher.Fetch(ctx, named)
		if err != nil {
			return nil, err
		}
		return fetched.Open(ctx)
	})
	out, err := d.Diff(ctx, plan)
	if err != nil {
		return driver.Diff{}, fmt.Errorf("target %s: %w", target, err)
	}
	out.Text = strings.ToValidUTF8(out.Text, "�") // it is kept, and read, as a text
	out.Failed, out.Last = redacted(out.Failed), redacted(out.Last)
	return out, nil
}
