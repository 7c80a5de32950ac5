// Package takeback judges whether a request to roll back takes back what it names. A
// rollback passes where a planned release is stopped: an older version, one that was
// taken back before, an overdue review. So it places what its targets carried before,
// by the record, and nothing else; whatever is new comes as a planned release or as an
// emergency (PD-2.3, PD-A.5).
package takeback

import (
	"context"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Store reads standings, and histories as far as they go: a release that was carried through
// is wholly in the beginning of its history, and whoever fills it afterwards must not keep
// anybody from taking it back.
type Store interface {
	standing.Reader
	Beginning(ctx context.Context, aggregate string) (eventstore.History, error)
}

// Problem is one field of a request that takes nothing back.
type Problem struct{ Field, Rule, Message string }

// Check names every field by which a request goes elsewhere than back from that
// release: a target that the release does not name, an artifact that a target did not
// carry before, or another version of it. Recorded enough is what a target carries now
// and carried before that, and the same at the time of the release that is taken back;
// what lies further back than that comes as an older version.
func Check(ctx context.Context, store Store, r *releasev1.Request, of procedure.State) ([]Problem, error) {
	c := checker{store: store, request: r, of: of}
	for i, wave := range r.GetPlan().GetWaves() {
		for j, id := range wave.GetTargets() {
			if !slices.Contains(procedure.Targets(of.Request), id) {
				c.say(fmt.Sprintf("plan.waves[%d].targets[%d]", i, j), "rollback_of.target", "%s is no target of %s", id, of.Release)
				continue
			}
			if err := c.target(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	return c.found, nil
}

type checker struct {
	store   Store
	request *releasev1.Request
	of      procedure.State
	found   []Problem
}

// say names a field once, however many targets are at fault.
func (c *checker) say(field, rule, format string, args ...any) {
	if !slices.ContainsFunc(c.found, func(p Problem) bool { return p.Field == field }) {
		c.found = append(c.found, Problem{field, rule, fmt.Sprintf(format, args...)})
	}
}

func (c *checker) target(ctx context.Context, id string) error {
	before, err := c.before(ctx, id)
	if err != nil {
		return err
	}
	primary := c.request.GetArtifacts()[0].GetDigest()
	before = slices.DeleteFunc(before, func(d *releasev1.Deployment) bool { return d.GetDigest() != primary })
	if len(before) == 0 {
		c.say("artifacts[0].digest", "rollback_of.artifact", "%s did not carry this before %s, by the record", id, c.of.Release)
		return nil
	}
	same := slices.IndexFunc(before, func(d *releasev1.Deployment) bool { return d.GetVersion() == c.request.GetVersion() })
	if same < 0 {
		c.say("version", "rollback_of.version", "%s carried this artifact as version %s", id, before[0].GetVersion())
		return nil
	}
	return c.others(ctx, before[same].GetRelease())
}

// before is what a target carried without the release that is taken back.
func (c *checker) before(ctx context.Context, id string) ([]*releasev1.Deployment, error) {
	now, err := standing.ReadTarget(ctx, c.store, id)
	if err != nil {
		return nil, err
	}
	seen := c.of.Scoped(id).GetState()
	all := []*releasev1.Deployment{now.State.GetDeployed(), now.State.GetPrevious(), seen.GetDeployed(), seen.GetPrevious()}
	return slices.DeleteFunc(all, func(d *releasev1.Deployment) bool {
		return d == nil || d.GetRelease() == c.of.Release || d.GetService() != c.request.GetService()
	}), nil
}

// others checks the artifacts that drivers do not place: they were released together
// with the one that they do.
func (c *checker) others(ctx context.Context, release string) error {
	if len(c.request.GetArtifacts()) == 1 {
		return nil
	}
	h, err := c.store.Beginning(ctx, procedure.Aggregate(release))
	if err != nil {
		return err
	}
	placed, _ := procedure.Fold(release, h.Entries)
	for i, a := range c.request.GetArtifacts()[1:] {
		if !slices.ContainsFunc(placed.Artifacts, func(p *releasev1.PinnedArtifact) bool { return p.GetDigest() == a.GetDigest() }) {
			c.say(fmt.Sprintf("artifacts[%d].digest", i+1), "rollback_of.artifact", "it was not released together with the first one, in %s", release)
		}
	}
	return nil
}
