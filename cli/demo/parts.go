package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/e2e/shop"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func (s *story) planned(ctx context.Context, versions []shop.Artifact) error {
	s.title("1. Version 1.0.0: a planned release, with two approvals")
	id, err := s.submit(ctx, versions[0], "1-planned", nil)
	if err != nil {
		return err
	}
	if err := s.approve(ctx, id, "carol", "dave"); err != nil {
		return err
	}
	if _, err := s.finish(ctx, id, releasev1.Outcome_OUTCOME_SUCCEEDED); err != nil {
		return err
	}
	if err := s.runs(ctx, versions[0]); err != nil {
		return err
	}
	return s.record(ctx, id, "1-planned", "| What |")
}

func (s *story) rolledBack(ctx context.Context, versions []shop.Artifact) error {
	s.title("2. Version 2.0.0: turns unhealthy after its start, and is taken back by itself")
	id, err := s.submit(ctx, versions[1], "2-bad", nil)
	if err != nil {
		return err
	}
	if err := s.approve(ctx, id, "carol", "dave"); err != nil {
		return err
	}
	if _, err := s.finish(ctx, id, releasev1.Outcome_OUTCOME_ROLLED_BACK); err != nil {
		return err
	}
	if err := s.runs(ctx, versions[0]); err != nil {
		return err
	}
	s.line("People were called, because a validation failed; erin takes it on.")
	if err := s.acknowledge(ctx, "erin", id, "it is bad; looking at it"); err != nil {
		return err
	}
	s.line("That ends nothing; dave looks into it, and does.")
	if err := s.closeIncident(ctx, "dave", id, "version 2.0.0 leaks; it is gone, and 1.0.0 answers everybody"); err != nil {
		return err
	}
	if err := s.record(ctx, id, "2-bad"); err != nil {
		return err
	}
	return s.wayBack(ctx, id, "2-bad")
}

func (s *story) emergency(ctx context.Context, versions []shop.Artifact) error {
	s.title("3. Version 2.0.1: an emergency, without tests, authorized by the one person at hand")
	id, err := s.submit(ctx, versions[2], "3-emergency", func(r *releasev1.Request) {
		r.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY
		r.Emergency = &releasev1.Emergency{Reason: "Payments fail for every tenth customer.", Incident: "INC-77"}
		r.Evidence = [][]byte{r.GetEvidence()[0], r.GetEvidence()[2]}
	})
	if err != nil {
		return err
	}
	if err := s.approve(ctx, id, "erin"); err != nil {
		return err
	}
	release, err := s.finish(ctx, id, releasev1.Outcome_OUTCOME_SUCCEEDED)
	if err != nil {
		return err
	}
	if err := s.runs(ctx, versions[2]); err != nil {
		return err
	}
	if release.GetReviewDue() == nil {
		return fmt.Errorf("no review is owed for %s", id)
	}
	s.line("A retrospective review is owed until %s. Whoever authorized it may not do it:", release.GetReviewDue().AsTime().UTC().Format(time.RFC3339))
	if err := s.review(ctx, "erin", id, exit.Denied); err != nil {
		return err
	}
	s.line("Somebody else does:")
	if err := s.review(ctx, "frank", id, exit.OK); err != nil {
		return err
	}
	if err := s.acknowledge(ctx, "dave", id, "the fix is out; the review is done"); err != nil {
		return err
	}
	if err := s.closed(ctx, id); err != nil {
		return err
	}
	return s.record(ctx, id, "3-emergency", "### Deviations")
}

func (s *story) frozen(ctx context.Context, versions []shop.Artifact) error {
	s.title("4. Version 2.1.0: asked for in a freeze, held, and going on by itself when it ends")
	start := time.Now()
	s.world.Rules.Version = "1.1"
	s.world.Rules.FreezeStart, s.world.Rules.FreezeEnd = start.Add(-time.Minute), start.Add(freezeTime)
	if err := s.newProcedure(ctx); err != nil {
		return err
	}
	s.line("Procedure document 1.1 is in effect: carol froze production until %s.", s.world.Rules.FreezeEnd.UTC().Format(time.RFC3339))
	id, err := s.submit(ctx, versions[3], "4-frozen", nil)
	if err != nil {
		return err
	}
	held, err := s.until(ctx, id, func(r *recorderv1.Release) bool { return r.GetPhase() == "held" })
	if err != nil {
		return err
	}
	s.line("  %s", s.Paint.Yellow("held: "+s.cut(terminal.Escape(held.GetSummary()), 8)))
	if err := s.approve(ctx, id, "carol", "dave"); err != nil {
		return err
	}
	if time.Now().Before(s.world.Rules.FreezeEnd) {
		return fmt.Errorf("%s went on inside the freeze", id)
	}
	if _, err := s.finish(ctx, id, releasev1.Outcome_OUTCOME_SUCCEEDED); err != nil {
		return err
	}
	if err := s.runs(ctx, versions[3]); err != nil {
		return err
	}
	return s.record(ctx, id, "4-frozen")
}

// review does the review that is owed of an emergency; it must end with that code.
func (s *story) review(ctx context.Context, person, id string, code int) error {
	said, err := s.types(ctx, person, code, "review", id, "--result", "justified", "--residual-risk", "None known.")
	if err != nil {
		return err
	}
	s.quote(said)
	return nil
}

// acknowledge takes what people were called for on.
func (s *story) acknowledge(ctx context.Context, person, id, why string) error {
	if err := s.does(ctx, person, "acknowledge", id, "--comment", why); err != nil {
		return err
	}
	return s.told(ctx, "Taken on by "+person)
}

// closeIncident ends what people were called for, with the release.
func (s *story) closeIncident(ctx context.Context, person, id, why string) error {
	if err := s.does(ctx, person, "close-incident", id, "--reason", why); err != nil {
		return err
	}
	return s.closed(ctx, id)
}

// closed waits until nothing more will happen to a release.
func (s *story) closed(ctx context.Context, id string) error {
	_, err := s.until(ctx, id, func(r *recorderv1.Release) bool { return r.GetClosed() })
	return err
}

// newProcedure puts the world's present procedure document into effect, the way people
// do: one proposes it, another one approves it, and it is activated. Releases that are
// under way finish under the document that they began with.
func (s *story) newProcedure(ctx context.Context) error {
	document, err := s.world.Procedure()
	if err != nil {
		return err
	}
	return s.rig.ChangeProcedure(ctx, document)
}
