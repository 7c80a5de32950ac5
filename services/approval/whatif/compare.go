package whatif

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// ErrUnknownRelease says that there is no such release.
var ErrUnknownRelease = errors.New("there is no such release")

// Compare says how a past release would have been answered under another document. Every
// decision that depends on the document is made again as of its moment, under the one
// that the release ran under and under the other: gates with the recorded proof, what was
// beside images and in change records with it, freezes and approvals with the recorded state. So what differs is what the document makes of
// it, and not what has changed in the world. Behind a decision that would have ended the
// release nothing is compared.
func (d *Desk) Compare(ctx context.Context, other *policy.Index, release string) ([]*approvalv1.ChangedAnswer, error) {
	// What somebody wrote behind its steps until nobody reads it any more hides none of them.
	h, err := d.store.Beginning(ctx, procedure.Aggregate(release))
	if err != nil {
		return nil, err
	}
	c := comparison{desk: d, other: other}
	s := procedure.State{Release: release}
	for _, e := range h.Entries {
		next, err := procedure.Evolve(s, e)
		if err != nil {
			continue
		}
		if s.Phase != procedure.PhaseNone && c.own == nil {
			if c.own, err = d.procedures.ByDigest(ctx, s.ProcedureDigest); err != nil {
				return nil, err
			}
		}
		if c.own != nil && !c.over {
			if err := c.decision(ctx, s, e); err != nil {
				return nil, fmt.Errorf("compare event %d: %w", e.Sequence, err)
			}
		}
		s = next
	}
	if s.Phase == procedure.PhaseNone {
		return nil, ErrUnknownRelease
	}
	return c.found, nil
}

type comparison struct {
	desk       *Desk
	own, other *policy.Index
	quorum     []*releasev1.QuorumRule // by the other document
	over       bool
	found      []*approvalv1.ChangedAnswer
}

func (c *comparison) say(step string, e procedure.Entry, before, after string) {
	if before != after {
		c.found = append(c.found, &approvalv1.ChangedAnswer{Step: step, Sequence: e.Sequence, Event: procedure.TypeOf(e.Event), Before: before, After: after})
	}
}

// decision makes the decision that the event recorded again. The state is that before it.
func (c *comparison) decision(ctx context.Context, s procedure.State, e procedure.Entry) error {
	at := e.Event.GetTime().AsTime()
	if decided := e.Event.GetDecided(); decided != nil {
		at = decided.AsTime()
	}
	switch e.Event.GetData().(type) {
	case *releasev1.Event_GatesConfirmed, *releasev1.Event_GatesRefused:
		return c.gates(ctx, s, e, at)
	case *releasev1.Event_RiskCleared, *releasev1.Event_Held, *releasev1.Event_RiskRefused:
		return c.risk(s, e, at)
	case *releasev1.Event_Authorized:
		return c.authorized(s, e, at)
	case *releasev1.Event_ExecutionClaimed, *releasev1.Event_StartHeld, *releasev1.Event_ExecutionOverrun:
		before, err := c.frozen(c.own, s, at)
		if err != nil {
			return err
		}
		after, err := c.frozen(c.other, s, at)
		c.say("5", e, before, after)
		return err
	}
	return nil
}

func (c *comparison) gates(ctx context.Context, s procedure.State, e procedure.Entry, at time.Time) error {
	answer := func(index *policy.Index) (string, bool, error) {
		decided, unknown, err := gates.Again(ctx, c.desk.blobs, index, gates.Past{Own: c.own, State: s, Event: e.Event, At: at})
		if errors.Is(err, gates.ErrNoRoot) && errors.Is(err, evidence.ErrNotFound) && index == c.other {
			return "gates: not judged, for the trusted root that the document names is not kept yet", false, nil
		}
		if err != nil {
			return "", false, err
		}
		refused := decided.GetGatesRefused() != nil
		verdicts := decided.GetGatesConfirmed().GetVerdicts()
		if refused {
			verdicts = decided.GetGatesRefused().GetVerdicts()
		}
		var out []string
		for _, v := range verdicts {
			out = append(out, v.GetGate()+" "+strings.ToLower(strings.TrimPrefix(v.GetStatus().String(), "STATUS_")))
		}
		for _, name := range unknown {
			out = append(out, name+" not known, nobody looked then")
		}
		slices.Sort(out)
		return "gates: " + or(strings.Join(out, ", "), "none required"), refused, nil
	}
	before, already, err := answer(c.own)
	if err != nil {
		return err
	}
	after, refused, err := answer(c.other)
	c.over = refused && !already
	c.say("1", e, before, after)
	return err
}

func (c *comparison) risk(s procedure.State, e procedure.Entry, at time.Time) error {
	answer := func(index *policy.Index) (string, procedure.RiskFacts, error) {
		facts, err := risk.ByDocument(index, s, at)
		if err != nil {
			return "", facts, err
		}
		decided := procedure.DecideRisk(s, facts)
		switch {
		case decided.GetRiskRefused() != nil:
			var rules []string
			for _, f := range decided.GetRiskRefused().GetFindings() {
				if f.GetSeverity() == releasev1.Finding_SEVERITY_BLOCKING {
					rules = append(rules, f.GetRule())
				}
			}
			return "refused: " + strings.Join(rules, ", "), facts, nil
		case decided.GetHeld() != nil:
			return holding(decided.GetHeld().GetReasons()), facts, nil
		}
		out := "approvals: " + needed(facts.Quorum)
		if facts.Chosen != nil {
			out += "; chosen: " + procedure.ChosenWords(facts.Chosen)
		}
		return out, facts, nil
	}
	before, _, err := answer(c.own)
	if err != nil {
		return err
	}
	after, facts, err := answer(c.other)
	if err != nil {
		return err
	}
	c.quorum, c.over = facts.Quorum, strings.HasPrefix(after, "refused: ")
	c.say("3", e, before, after)
	return nil
}

// authorized counts the approvals that were given by what the other document asks for.
func (c *comparison) authorized(s procedure.State, e procedure.Entry, at time.Time) error {
	s.Quorum = c.quorum
	if len(c.quorum) == 0 {
		return nil
	}
	if _, missing := procedure.Count(s, at); len(missing) > 0 {
		c.say("A", e, "authorized", "not authorized: missing "+needed(missing))
	}
	return nil
}

func (c *comparison) frozen(index *policy.Index, s procedure.State, at time.Time) (string, error) {
	j, err := index.Freezes(s, at)
	switch {
	case err != nil:
		return "", err
	case len(j.RollBack) > 0:
		return "taken back: " + holding(j.RollBack), nil
	case len(j.Reasons) > 0:
		return holding(j.Reasons), nil
	}
	return "may start", nil
}

func holding(reasons []*releasev1.HoldReason) string {
	var out []string
	for _, r := range reasons {
		out = append(out, r.GetRule()+" "+r.GetSubject())
	}
	return "held: " + strings.Join(out, ", ")
}

func needed(rules []*releasev1.QuorumRule) string {
	var out []string
	for _, q := range rules {
		out = append(out, fmt.Sprintf("%d of %s", q.GetCount(), q.GetGroup()))
	}
	return or(strings.Join(out, ", "), "none")
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
