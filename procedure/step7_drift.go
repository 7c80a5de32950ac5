package procedure

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxDrifts bounds how many events of one release say that a target was changed without one,
// or is as it was again: a history has an end. What is found after that is in the metrics of
// the executor alone.
const MaxDrifts = 64

// Bounds of what one event says of the differences, in lines and in bytes.
const (
	maxDifferences = 32
	maxDifference  = 256
)

// Drift is a target that carries what no release has left there (N-08).
type Drift struct {
	Target string
	What   *releasev1.UnrecordedChange
	Since  time.Time
}

// LeftOn is the digest that the release has left on a target, and on it still if no later one
// was there; false where it left none: it did not succeed, or is not over.
func LeftOn(s State, target string) (digest string, left bool) {
	succeeded := s.Outcome == releasev1.Outcome_OUTCOME_SUCCEEDED || s.Outcome == releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES
	digest = s.PrimaryArtifact().GetDigest()
	return digest, succeeded && s.Recorded && digest != "" && slices.Contains(s.Touched, target)
}

// DecideUnrecordedChange is what is to be put on record of a target that was looked at: nil
// where nothing is new. Found is what it carries, "" where nothing, and differences is what
// was changed on it besides; both are as the driver says, and without secrets (N-08).
func DecideUnrecordedChange(s State, target, found string, differences []string) *releasev1.Event {
	expected, left := LeftOn(s, target)
	if !left || s.DriftsSeen >= MaxDrifts {
		return nil
	}
	change := &releasev1.UnrecordedChange{Target: target, Expected: expected}
	open := slices.IndexFunc(s.Drifts, func(d Drift) bool { return d.Target == target })
	if found == expected && len(differences) == 0 {
		if open < 0 {
			return nil
		}
		change.Gone = true
		return &releasev1.Event{Data: &releasev1.Event_UnrecordedChange{UnrecordedChange: change}}
	}
	change.Found, change.Change = found, changeOf(found, differences)
	if open >= 0 && s.Drifts[open].What.GetChange() == change.GetChange() {
		return nil
	}
	for _, line := range differences[:min(len(differences), maxDifferences)] {
		if len(line) > maxDifference {
			line = line[:maxDifference]
		}
		change.Differences = append(change.Differences, strings.ToValidUTF8(line, ""))
	}
	change.More = uint32(len(differences) - len(change.GetDifferences())) //nolint:gosec // Never negative.
	return &releasev1.Event{Data: &releasev1.Event_UnrecordedChange{UnrecordedChange: change}}
}

func changeOf(found string, differences []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", found)
	for _, line := range differences {
		fmt.Fprintf(h, "\n%q", line)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// applyUnrecordedChange calls people because production is not as the record says. A release
// that was closed owes again that somebody takes that on. Nothing is rolled back: what was
// done by hand may be what keeps production alive.
func (s *State) applyUnrecordedChange(e Entry, d *releasev1.UnrecordedChange) error {
	expected, left := LeftOn(*s, d.GetTarget())
	open := slices.IndexFunc(s.Drifts, func(x Drift) bool { return x.Target == d.GetTarget() })
	switch {
	case !left:
		return s.invalid(e, "the release has left nothing on target "+d.GetTarget())
	case d.GetExpected() != expected:
		return s.invalid(e, "the release has left something else on target "+d.GetTarget())
	case s.DriftsSeen >= MaxDrifts:
		return s.invalid(e, fmt.Sprintf("there are %d changes already", s.DriftsSeen))
	case d.GetGone() && open < 0:
		return s.invalid(e, "no change of target "+d.GetTarget()+" is on record")
	case !d.GetGone() && (d.GetChange() == "" || d.GetFound() == expected && len(d.GetDifferences()) == 0):
		return s.invalid(e, "it does not say what was changed")
	case !d.GetGone() && open >= 0 && s.Drifts[open].What.GetChange() == d.GetChange():
		return s.invalid(e, "it is on record already")
	}
	s.DriftsSeen++
	s.Drifts = slices.Clone(s.Drifts)
	if open >= 0 {
		s.Drifts = slices.Delete(s.Drifts, open, open+1)
	}
	if d.GetGone() {
		return nil
	}
	s.Drifts = append(s.Drifts, Drift{Target: d.GetTarget(), What: d, Since: e.Stored})
	s.owe(releasev1.Cause_CAUSE_UNRECORDED_CHANGE, e.Stored)
	return nil
}
