package freeze

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Horizon is how far ahead a start is looked for.
const Horizon = 400 * 24 * time.Hour

// Rule is the rule of every reason that this package gives.
const Rule = procedure.HoldFreeze

// NotYet stands between the time at which a freeze begins that does not hold yet
// and its own reason; the procedure document's bounds leave room for it.
const NotYet = ", before a start is possible: "

// Outside stands before the reason of a window that allows what is not within it.
const Outside = "a start is possible only within this window or another that allows it: "

var (
	// ErrZone means that a time zone is not in the IANA database.
	ErrZone = errors.New("unknown time zone")
	// ErrWindow means that a freeze cannot be evaluated; the error names it.
	ErrWindow = errors.New("freeze has no valid time")
	// ErrFrozen means that no start is possible within Horizon. The verdict that
	// comes with it holds, with Until at the horizon.
	ErrFrozen = errors.New("frozen without an end in sight")
)

// Scope is what a release touches.
type Scope struct {
	// Environment and Service are names of the procedure document.
	Environment, Service string
	// Targets are the ids of all targets of all waves.
	Targets []string
	// Customers are all customers that these targets serve.
	Customers []string
	// Serves are the customers of each target, by its id.
	Serves map[string][]string
}

// Verdict says whether a release may start.
type Verdict struct {
	// Reasons are the freezes that hold now, in the order of the document, each
	// with the end of this occurrence, where it has one. None: it may start.
	Reasons []*releasev1.HoldReason
	// Following are freezes that do not hold now and begin before a start is
	// possible, in the order of time; only where Reasons are given. The message of
	// each says when it begins, because until then it holds nobody.
	Following []*releasev1.HoldReason
	// Until is the earliest feasible start: the moment itself where nothing holds.
	Until time.Time
}

// Holds is everything that has to be over before a start, those that hold now first:
// the earliest feasible start is nobody's guess where all of them are named.
func (v Verdict) Holds() []*releasev1.HoldReason {
	return slices.Concat(v.Reasons, v.Following)
}

// Evaluate says whether a release of this scope may start at a moment. A freeze
// applies where each of its lists that is not empty meets the scope. One that denies
// holds while it is active; those that allow hold while, for one of the subjects that
// some of them apply to, none of these is active: then all of these are named, because
// each of them would do. An error wraps ErrFrozen, or ErrWindow or ErrZone where a freeze
// cannot be understood, which must be treated as a hold: a freeze that nobody understands
// still is one.
func Evaluate(freezes []*policyv1.Freeze, at time.Time, scope Scope) (Verdict, error) {
	return evaluate(freezes, at, scope, Horizon)
}

// evaluate is Evaluate as far ahead as that.
func evaluate(freezes []*policyv1.Freeze, at time.Time, scope Scope, horizon time.Duration) (Verdict, error) {
	c, err := newCalculus(freezes, at, scope, horizon)
	if err != nil {
		return Verdict{Until: at}, err
	}
	verdict := Verdict{Until: at}
	told := make(map[int]bool)
	for verdict.Until.Sub(at) < horizon {
		holds, next := c.holding(verdict.Until)
		if len(holds) == 0 {
			return verdict, nil
		}
		for _, h := range holds {
			if told[h.window] {
				continue
			}
			told[h.window] = true
			if verdict.Until.Equal(at) {
				verdict.Reasons = append(verdict.Reasons, h.reason)
				continue
			}
			h.reason.Message = "begins " + h.since.UTC().Format(time.RFC3339) + NotYet + h.reason.GetMessage()
			verdict.Following = append(verdict.Following, h.reason)
		}
		verdict.Until = next
	}
	verdict.Until = at.Add(horizon)
	return verdict, fmt.Errorf("%w: no start before %s", ErrFrozen, verdict.Until.UTC().Format(time.RFC3339))
}

// Applies says whether a freeze concerns a release of this scope at all.
func Applies(freeze *policyv1.Freeze, scope Scope) bool {
	return meets(freeze.GetEnvironments(), scope.Environment) &&
		meets(freeze.GetServices(), scope.Service) &&
		meets(freeze.GetTargets(), scope.Targets...) &&
		meets(freeze.GetCustomers(), scope.Customers...)
}

// meets says whether a list that means everything when it is empty holds one of
// some values.
func meets(list []string, values ...string) bool {
	return len(list) == 0 || slices.ContainsFunc(values, func(value string) bool { return slices.Contains(list, value) })
}
