package site

import (
	"context"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
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
	out, err := d.Diff(ctx, plan)
	if err != nil {
		return driver.Diff{}, fmt.Errorf("target %s: %w", target, err)
	}
	out.Text = strings.ToValidUTF8(out.Text, "�") // it is kept, and read, as a text
	out.Failed, out.Last = redacted(out.Failed), redacted(out.Last)
	return out, nil
}
