package procedure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// maxBake is the longest bake that a request may ask for, and so the longest that is chosen.
	maxBake = 24 * time.Hour
	// MaxWaves is how many waves a plan has at the most.
	MaxWaves = 16
)

// AsChosen returns a request as it runs: everything as it was asked for, but what was chosen
// (PD-3.4). Without a choice it is the request itself; neither is changed.
func AsChosen(asked *releasev1.Request, c *releasev1.Chosen) *releasev1.Request {
	if c == nil || asked == nil {
		return asked
	}
	r := proto.CloneOf(asked)
	if c.GetBake() != nil && r.GetValidation() != nil {
		r.Validation.Bake = c.GetBake()
	}
	if len(c.GetWaves()) > 0 && r.GetPlan() != nil {
		r.Plan.Waves = c.GetWaves()
	}
	return r
}

// Numbered returns targets of step 2 with the numbers of the waves in which a request has
// them.
func Numbered(targets []*releasev1.ScopedTarget, r *releasev1.Request) []*releasev1.ScopedTarget {
	out := make([]*releasev1.ScopedTarget, 0, len(targets))
	for _, t := range targets {
		t = proto.CloneOf(t)
		for n, w := range r.GetPlan().GetWaves() {
			if slices.Contains(w.GetTargets(), t.GetTarget()) {
				t.Wave = uint32(n)
			}
		}
		out = append(out, t)
	}
	return out
}

// Asked is the request as it was asked for, whatever was chosen in place of it: that is what
// the evidence of gates is of.
func (s State) Asked() *releasev1.Request {
	if asked := s.Requested.GetRequest(); asked != nil {
		return asked
	}
	return s.Request
}

// choose makes the release run as step 3 chose, or says why it may not: a choice is of a
// planned release, and of its plan it is one that the request lets and that is stricter than
// what was asked for. Whether a lane is open is a matter of the document, which the executor
// asks again. Everything that reads the request afterwards reads what will run, the change digest and what approvers
// are shown among it; what was asked for stays in Requested.
func (s *State) choose(c *releasev1.Chosen) (why string) {
	if c == nil {
		return ""
	}
	switch {
	case s.Request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED:
		return "something is chosen for a release that is not planned"
	case c.GetBake() == nil && len(c.GetWaves()) == 0 && c.GetLane() == "":
		return "nothing is chosen"
	}
	if why := mayBake(s.Request.GetValidation(), c.GetBake()); why != "" {
		return why
	}
	if why := mayDivide(s.Request.GetPlan(), c.GetWaves()); why != "" {
		return why
	}
	s.Chosen, s.Request = c, AsChosen(s.Request, c)
	s.Targets = Numbered(s.Targets, s.Request)
	return ""
}

// mayBake says why a bake may not be chosen; empty where it may, and where none is.
func mayBake(v *releasev1.Validation, bake *durationpb.Duration) string {
	switch {
	case bake == nil:
		return ""
	case !v.GetMayRaise():
		return "the request does not let its bake be raised"
	case bake.CheckValid() != nil || bake.AsDuration() <= v.GetBake().AsDuration() || bake.AsDuration() > maxBake:
		return "the bake that is chosen is no longer than what was asked for, or longer than any"
	}
	return ""
}

// mayDivide says why waves may not be chosen; empty where they may, and where none are. They
// are those that were asked for, in their order, some of them in parts: whatever was to be
// verified before a target is touched still is.
func mayDivide(p *releasev1.Plan, waves []*releasev1.Wave) string {
	switch {
	case len(waves) == 0:
		return ""
	case !p.GetMayDivide():
		return "the request does not let its waves be divided"
	case len(waves) > MaxWaves:
		return "more waves are chosen than a plan has"
	case !parts(p.GetWaves(), waves):
		return "the waves that are chosen are not those that were asked for, in parts"
	}
	return ""
}

// parts reports whether the waves are those that were asked for, at least one of them in more
// than one part.
func parts(asked, waves []*releasev1.Wave) bool {
	left := waves
	for _, w := range asked {
		for rest := w.GetTargets(); len(rest) > 0; {
			if len(left) == 0 {
				return false
			}
			part := left[0].GetTargets()
			if len(part) == 0 || len(part) > len(rest) || !slices.Equal(part, rest[:len(part)]) {
				return false
			}
			left, rest = left[1:], rest[len(part):]
		}
	}
	return len(left) == 0 && len(waves) > len(asked)
}

// ChosenWords says what was chosen, for people.
func ChosenWords(c *releasev1.Chosen) string {
	var all []string
	if len(c.GetWaves()) > 0 {
		all = append(all, "waves of "+sizes(c.GetWaves())+" targets")
	}
	if c.GetBake() != nil {
		all = append(all, "a bake of "+c.GetBake().AsDuration().String())
	}
	if c.GetLane() != "" {
		all = append(all, "the lane "+c.GetLane())
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, " and ")
}

// sizes is how many targets each wave has.
func sizes(waves []*releasev1.Wave) string {
	var out []string
	for _, w := range waves {
		out = append(out, fmt.Sprint(len(w.GetTargets())))
	}
	return strings.Join(out, ", ")
}
