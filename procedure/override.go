package procedure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// HoldFreeze is the rule of every hold by a freeze.
const HoldFreeze = "freeze"

// MaxOverrides bounds the exceptions that one release can have: a history has an end.
const MaxOverrides = 64

// ErrOwnFreeze says that people make no exception for what they asked for, own or wrote.
var ErrOwnFreeze = errors.New("nobody makes an exception of a freeze for their own change")

// ErrStandardChange says that nobody makes an exception of a freeze for a standard change that
// has not begun: it was approved by fewer people because nothing asked for more (PD-3.4).
var ErrStandardChange = errors.New("a standard change starts in no freeze")

// Override is one person's exception of one freeze for the release (N-14). Whether the
// person is one whom the freeze names is for those to judge who read the document.
type Override struct {
	// Freeze is its name, and Digest that of its content.
	Freeze, Digest string
	// Person made it, being in these Groups then, by document and identity provider, at
	// this time.
	Person string
	Groups []string
	Given  time.Time
	// Reason and Ticket say why.
	Reason, Ticket string
}

// ContentDigest is the digest of a message's content, which is the same for equal
// messages, whatever bytes they came in.
func ContentDigest(m proto.Message) string { return contentDigest(m) }

// FrozenBy names the freezes that a release waits for.
func (s State) FrozenBy() []string {
	var out []string
	for _, h := range s.Holds {
		if h.GetRule() == HoldFreeze && !slices.Contains(out, h.GetSubject()) {
			out = append(out, h.GetSubject())
		}
	}
	return out
}

// MayOverride reports whether the person may make an exception of a freeze for the
// release, as far as that does not depend on the document; the error says why not.
// Whoever has a part in the change asks somebody else, but in an emergency. A standard change
// that has not begun is requested again: its exception is made before step 3 clears it, and it
// is approved as others are. One that has begun goes on by an exception, for half a change is
// worse.
func MayOverride(s State, actor *releasev1.Actor) error {
	if actor.GetKind() != releasev1.Actor_KIND_HUMAN || actor.GetId() == "" {
		return ErrNotHuman
	}
	if role := s.ownRole(actor.GetId()); role != "" && !s.Emergency() {
		return fmt.Errorf("%w: %s is %s", ErrOwnFreeze, actor.GetId(), role)
	}
	if lane := s.Chosen.GetLane(); lane != "" && !s.Started() {
		return fmt.Errorf("%w, and it goes by the lane %s: withdraw it and request it again, and it is approved as others are", ErrStandardChange, lane)
	}
	return nil
}

// applyFreezeOverridden takes a person's exception, and has it told to whoever set the
// freeze. A release that waits for that very freeze is looked at again at once: what else
// holds it is found out then.
func (s *State) applyFreezeOverridden(e Entry, d *releasev1.FreezeOverridden) error {
	if err := s.expect(e, append([]Phase{PhaseExecuting, PhaseVerify}, beforeStart...)...); err != nil {
		return err
	}
	if err := MayOverride(*s, e.Event.GetActor()); err != nil {
		return s.invalid(e, err.Error())
	}
	switch {
	case d.GetFreeze() == "" || !strings.HasPrefix(d.GetFreezeDigest(), "sha256:"):
		return s.invalid(e, "it does not name the freeze")
	case strings.TrimSpace(d.GetReason()) == "" || strings.TrimSpace(d.GetTicket()) == "":
		return s.invalid(e, "an exception states its reason and its ticket")
	case len(s.Overrides) >= MaxOverrides:
		return s.invalid(e, "there are too many exceptions already")
	case slices.ContainsFunc(s.Overrides, func(o Override) bool {
		return o.Freeze == d.GetFreeze() && o.Digest == d.GetFreezeDigest() && o.Person == e.Event.GetActor().GetId()
	}):
		return s.invalid(e, "the same person made the same exception already")
	}
	groups := d.GetGroups()
	if len(groups) == 0 {
		groups = e.Event.GetActor().GetGroups() // Written before exceptions named them.
	}
	s.Overrides = append(slices.Clip(s.Overrides), Override{
		Freeze: d.GetFreeze(), Digest: d.GetFreezeDigest(), Person: e.Event.GetActor().GetId(),
		Groups: groups, Given: e.Stored, Reason: d.GetReason(), Ticket: d.GetTicket(),
	})
	if d.GetSetBy() != "" {
		s.want(releasev1.Occasion_OCCASION_FREEZE_OVERRIDDEN, uint32(len(s.Overrides))) //nolint:gosec // At most MaxOverrides.
	}
	if s.Phase == PhaseHeld && slices.Contains(s.FrozenBy(), d.GetFreeze()) {
		s.Holds, s.HeldUntil = nil, time.Time{}
		s.enter(s.HeldFor, e.Stored)
	}
	return nil
}

// applyExecutionOverrun begins the way back of a release that has changed something and
// may not go on: a freeze began whose rule is that nothing half done stays (N-14).
func (s *State) applyExecutionOverrun(e Entry, d *releasev1.ExecutionOverrun) error {
	if err := s.expect(e, PhaseExecute); err != nil {
		return err
	}
	switch {
	case !s.Started():
		return s.invalid(e, "nothing was begun")
	case d.GetWave() != s.Wave:
		return s.invalid(e, "it is for another wave")
	case len(d.GetReasons()) == 0:
		return s.invalid(e, "it names no freeze")
	}
	var names []string
	for _, r := range d.GetReasons() {
		names = append(names, r.GetSubject())
	}
	s.EndReason = "taken back, because it may not go on: freeze " + strings.Join(names, ", ")
	s.Holds, s.HeldUntil, s.HeldSince = nil, time.Time{}, time.Time{}
	s.remedy(e.Stored)
	return nil
}
