package policy

import (
	"time"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/procedure"
)

// Decides returns the groups of a person by the document, and whether they decide
// anything: a machine does not, nor does whoever has left.
func (x *Index) Decides(person string) (groups []string, decides bool) {
	p := x.Person(person)
	if p == nil || p.GetId() != person || p.GetMachine() || p.GetInactive() {
		return nil, false
	}
	return x.GroupsOf(person), true
}

// Freezes says what the freezes of the document mean for a release at a moment (PD-3.1,
// PD-3.2): everybody who asks, at whatever step, asks here. Whether an exception counts is
// read in this document, and not in what somebody wrote about it.
func (x *Index) Freezes(s procedure.State, at time.Time) (freeze.Judgment, error) {
	return freeze.Judge(x.document.GetFreezes(), at, freeze.ScopeOf(x.document, s.Request), x.exceptions(s))
}

// TakesBack is when, after a moment, a freeze of the document may begin by which a release that has
// begun is taken back; zero for never.
func (x *Index) TakesBack(s procedure.State, at time.Time) (time.Time, error) {
	return freeze.TakesBack(x.document.GetFreezes(), at, freeze.ScopeOf(x.document, s.Request), x.exceptions(s))
}

// exceptions are the freezes that a release goes around.
func (x *Index) exceptions(s procedure.State) freeze.Exceptions {
	return freeze.Exceptions{
		Emergency: s.Emergency(), Overridden: freeze.Overridden(s.Overrides, x.Decides), UnderWay: len(s.Begun) > 0,
	}
}
