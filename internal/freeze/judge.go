package freeze

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Exceptions are the freezes that one release goes around.
type Exceptions struct {
	// Emergency goes around those that are bypassable (PD-A.5).
	Emergency bool
	// Overridden says of a freeze whether somebody made an exception of it for this
	// release (N-14). Nil: of none.
	Overridden func(*policyv1.Freeze) bool
	// UnderWay goes on in spite of those that let what has begun come to its end.
	UnderWay bool
}

// Judgment is a verdict, and what made no difference to it because of an exception.
type Judgment struct {
	Verdict
	// Bypassed are freezes that would hold now and that the emergency goes around,
	// Overridden those of which an exception was made, Finishing those in spite of which
	// a release that is under way goes on.
	Bypassed, Overridden, Finishing []*releasev1.HoldReason
	// RollBack are those of the reasons by which a release that is under way is taken back.
	RollBack []*releasev1.HoldReason
}

// Judge says whether a release may start, or go on, in spite of all freezes but those that
// it goes around. It answers where no start is in sight: then Until is the horizon. Other
// errors are those of Evaluate.
func Judge(freezes []*policyv1.Freeze, at time.Time, scope Scope, x Exceptions) (Judgment, error) {
	left := make([]*policyv1.Freeze, 0, len(freezes))
	around := map[string]*[]*releasev1.HoldReason{}
	var j Judgment
	for _, f := range freezes {
		switch {
		case x.Overridden != nil && x.Overridden(f):
			around[f.GetName()] = &j.Overridden
		case x.Emergency && f.GetBypassable():
			around[f.GetName()] = &j.Bypassed
		case x.UnderWay && f.GetOverrun() == policyv1.Freeze_OVERRUN_FINISH:
			around[f.GetName()] = &j.Finishing
		default:
			left = append(left, f)
			continue
		}
		if f.GetKind() == policyv1.Freeze_KIND_ALLOW {
			left = append(left, open(f))
		}
	}
	var err error
	if j.Verdict, err = Evaluate(left, at, scope); err != nil && !errors.Is(err, ErrFrozen) {
		return j, err
	}
	for _, f := range freezes {
		if x.UnderWay && f.GetOverrun() == policyv1.Freeze_OVERRUN_ROLL_BACK {
			j.RollBack = append(j.RollBack, named(j.Reasons, f.GetName())...)
		}
	}
	if len(around) == 0 {
		return j, nil
	}
	all, err := Evaluate(freezes, at, scope)
	if err != nil && !errors.Is(err, ErrFrozen) {
		return j, err
	}
	for _, r := range all.Reasons {
		if list := around[r.GetSubject()]; list != nil {
			*list = append(*list, r)
		}
	}
	return j, nil
}

// TakesBack is when, after a moment and within Horizon, something may begin by which a release that is
// under way is taken back: a window that denies, or the end of one that allows. It may find nothing to
// be so then, and is never later than when it is. Where one of those that allow takes back, the end of
// any of them counts: what is outside of the last one is outside of all. Zero for never. Those that the
// release goes around do not count. Errors are those of Evaluate.
func TakesBack(freezes []*policyv1.Freeze, at time.Time, scope Scope, x Exceptions) (first time.Time, err error) {
	var left []*policyv1.Freeze
	outside := false
	for _, f := range freezes {
		if !Applies(f, scope) || x.Overridden != nil && x.Overridden(f) || x.Emergency && f.GetBypassable() {
			continue
		}
		left = append(left, f)
		outside = outside || f.GetKind() == policyv1.Freeze_KIND_ALLOW && f.GetOverrun() == policyv1.Freeze_OVERRUN_ROLL_BACK
	}
	for _, f := range left {
		allows := f.GetKind() == policyv1.Freeze_KIND_ALLOW
		if f.GetOverrun() != policyv1.Freeze_OVERRUN_ROLL_BACK && (!allows || !outside) {
			continue
		}
		w, err := newWindow(f, at, at.Add(Horizon))
		if err != nil {
			return time.Time{}, fmt.Errorf("freeze %s: %w", f.GetName(), err)
		}
		for _, s := range w.spans {
			begins := s.from
			if allows {
				begins = s.until
			}
			if begins.After(at) && begins.Before(at.Add(Horizon)) && (first.IsZero() || begins.Before(first)) {
				first = begins
			}
		}
	}
	return first, nil
}

// open is a window that allows a start at any time: what is made of one that a release
// goes around. Left out, it would leave less time to start, where there are others.
func open(f *policyv1.Freeze) *policyv1.Freeze {
	f = proto.CloneOf(f)
	f.When = &policyv1.Freeze_Once{Once: &policyv1.Span{Start: always}}
	return f
}

func named(reasons []*releasev1.HoldReason, name string) []*releasev1.HoldReason {
	return slices.DeleteFunc(slices.Clone(reasons), func(r *releasev1.HoldReason) bool { return r.GetSubject() != name })
}
