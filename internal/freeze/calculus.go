package freeze

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// calculus is what one scope is held by: every window that denies a start to it, and for
// each of its subjects those windows one of which has to be open.
type calculus struct {
	windows []window
	deny    []int
	allow   [][]int
	end     time.Time
}

// hold is a window that holds at a moment.
type hold struct {
	window int
	since  time.Time
	reason *releasev1.HoldReason
}

// newCalculus understands the freezes that apply to a scope, or says of each of them why
// it cannot be understood.
func newCalculus(freezes []*policyv1.Freeze, at time.Time, scope Scope, horizon time.Duration) (calculus, error) {
	c := calculus{end: at.Add(horizon)}
	var problems []error
	for _, freeze := range freezes {
		if !Applies(freeze, scope) {
			continue
		}
		w, err := newWindow(freeze, at, c.end)
		if err != nil {
			problems = append(problems, fmt.Errorf("freeze %s: %w", freeze.GetName(), err))
			continue
		}
		if c.windows = append(c.windows, w); !w.allows() {
			c.deny = append(c.deny, len(c.windows)-1)
		}
	}
	for _, subject := range scope.subjects() {
		var any []int
		for i, w := range c.windows {
			if w.allows() && Applies(w.freeze, subject) {
				any = append(any, i)
			}
		}
		// Many targets have the same windows, which need be looked at once.
		if len(any) > 0 && !slices.ContainsFunc(c.allow, func(other []int) bool { return slices.Equal(other, any) }) {
			c.allow = append(c.allow, any)
		}
	}
	return c, errors.Join(problems...)
}

// holding names the windows that hold at a moment, in the order of the document, and the
// next moment at which it may be otherwise.
func (c calculus) holding(at time.Time) (holds []hold, next time.Time) {
	next = at
	later := func(t time.Time) {
		if t.After(next) {
			next = t
		}
	}
	for _, i := range c.deny {
		s, active := c.windows[i].activeAt(at)
		if !active {
			continue
		}
		holds = append(holds, hold{i, s.from, c.windows[i].reason("", s.until, s.until.Before(forGood))})
		later(s.until)
	}
	for _, any := range c.allow {
		if slices.ContainsFunc(any, func(i int) bool { _, open := c.windows[i].activeAt(at); return open }) {
			continue
		}
		opens := c.end
		for _, i := range any {
			own, known := c.windows[i].opensAfter(at)
			if known && own.Before(opens) {
				opens = own
			}
			if !slices.ContainsFunc(holds, func(h hold) bool { return h.window == i }) {
				holds = append(holds, hold{i, at, c.windows[i].reason(Outside, own, known)})
			}
		}
		later(opens)
	}
	slices.SortFunc(holds, func(a, b hold) int { return a.window - b.window })
	return holds, next
}

func (w window) reason(before string, until time.Time, known bool) *releasev1.HoldReason {
	r := &releasev1.HoldReason{
		Rule:    Rule,
		Subject: w.freeze.GetName(),
		SetBy:   w.freeze.GetSetBy(),
		Message: before + w.freeze.GetReason(),
	}
	if known {
		r.Until = timestamppb.New(until)
	}
	return r
}
