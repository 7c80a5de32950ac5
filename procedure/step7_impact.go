package procedure

import (
	"errors"
	"slices"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ErrNoImpact says that a release can have no impact: nothing was executed yet, or it is
// closed, so that nobody watches it any more.
var ErrNoImpact = errors.New("nothing was executed, or the release is closed")

// maxAttempts bounds whose attempts to authorize an emergency are kept, and told.
const maxAttempts = 16

// MayReportImpact reports whether an impact of the release can be reported; the error
// says why not.
func MayReportImpact(s State) error {
	if !s.Started() || s.Phase == PhaseClosed {
		return ErrNoImpact
	}
	return nil
}

// applyImpactReported calls people because of an impact that nobody expected. Whether it
// goes on is for them to decide: what one person saw may have another cause.
func (s *State) applyImpactReported(e Entry, d *releasev1.ImpactReported) error {
	if _, err := s.human(e); err != nil {
		return err
	}
	if err := MayReportImpact(*s); err != nil {
		return s.invalid(e, err.Error())
	}
	if strings.TrimSpace(d.GetDescription()) == "" {
		return s.invalid(e, "it does not say what happens")
	}
	s.Impacts++
	s.Impact = d
	s.raise(releasev1.Cause_CAUSE_UNEXPECTED_IMPACT, e.Stored)
	return nil
}

// TellsOfAttempt reports whether that person's attempt to authorize the release is told:
// it is an emergency that waits for approvals, and nobody was told of that person yet.
func TellsOfAttempt(s State, person string) bool {
	return s.Phase == PhaseApprove && s.Emergency() && len(s.Attempts) < maxAttempts && !slices.Contains(s.Attempts, person)
}

// applyAuthorizationRefused has those told who hear of emergencies that somebody tried to
// authorize one who may not: in good faith, and then somebody has to be found who may, or
// not (PD-A.5).
func (s *State) applyAuthorizationRefused(e Entry, d *releasev1.AuthorizationRefused) error {
	if err := s.expect(e, PhaseApprove); err != nil {
		return err
	}
	by, err := s.human(e)
	if err != nil {
		return err
	}
	switch {
	case !TellsOfAttempt(*s, by):
		return s.invalid(e, "it is no emergency, or this was told already")
	case d.GetReason() == "":
		return s.invalid(e, "it names no reason")
	case !errors.Is(MayApprove(*s, e.Event.GetActor(), s.ChangeDigest, e.Stored), ErrNotApprover):
		return s.invalid(e, by+" may authorize it")
	}
	s.Attempts = append(slices.Clip(s.Attempts), by)
	s.want(releasev1.Occasion_OCCASION_EMERGENCY, attempts+uint32(len(s.Attempts))) //nolint:gosec // At most 16.
	return nil
}

// attempts is added to the numbers of notices that tell of attempts.
const attempts = 1000
