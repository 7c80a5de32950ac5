package policy

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// LaterChecks are the checks of a verified release that are looked at later: those that the procedure
// document names, or all where it names none that the release has. A check of controls of security is
// named as a whole. What is compared with values of before the release is not looked at: of a
// difference of today's it is not the reason. Nor is anybody asked again who signed something off.
func (x *Index) LaterChecks(s procedure.State) []*releasev1.Check {
	var all, named []*releasev1.Check
	for _, c := range criterion.Looked(s.Request, x.Service(s.Request.GetService()).GetChecks(), false) {
		if c.GetPrometheus().GetBaseline() != nil || criterion.AsksPeople(c) {
			continue
		}
		all = append(all, c)
		if slices.Contains(s.Requested.GetReverification().GetChecks(), c.GetName()) {
			named = append(named, c)
		}
	}
	if len(named) == 0 {
		named = all
	}
	return criterion.Each(named)
}

// defaultUnseen is after how many looks in a row without a verdict people are called, where the
// document does not say it.
const defaultUnseen = 3

// Reverification is how a release of that request is looked at again once it was verified; nil
// where it is not (PD-6.1).
func (x *Index) Reverification(r *releasev1.Request) *releasev1.Reverification {
	rule := x.document.GetReverify()
	if rule == nil || !emptyOrHas(rule.GetEnvironments(), r.GetEnvironment()) || !emptyOrHas(rule.GetServices(), r.GetService()) {
		return nil
	}
	out := &releasev1.Reverification{
		Every: durationpb.New(rule.GetEvery().AsDuration()), During: durationpb.New(rule.GetDuring().AsDuration()),
		Unseen: rule.GetUnseen(), Checks: append([]string(nil), rule.GetChecks()...),
	}
	if rule.GetLook() != nil {
		out.Look = durationpb.New(rule.GetLook().AsDuration())
	}
	if out.GetUnseen() == 0 {
		out.Unseen = defaultUnseen
	}
	return out
}

// reverify checks that there is something to look at, that the looks are not too many for one
// history, and that one is over before the next begins.
func (c *checker) reverify() {
	rule := c.document.GetReverify()
	if rule == nil {
		return
	}
	c.known("reverify.environments", "environment", rule.GetEnvironments(), c.hasEnvironment)
	c.known("reverify.services", "service", rule.GetServices(), c.hasService)
	for i, name := range rule.GetChecks() {
		if !c.cataloged(rule, name) {
			c.report(fmt.Sprintf("reverify.checks[%d]", i), "reverify.check", "no service that is looked at again has a check %q in its checks: everything would be looked at", name)
		}
	}
	every, during := rule.GetEvery().AsDuration(), rule.GetDuring().AsDuration()
	switch {
	case every <= 0:
		return // The schema says so.
	case during < every:
		c.report("reverify.during", "reverify.never", "nothing is looked at again within %s, the first look is after %s (every)", during, every)
	case during/every > procedure.MaxLaterLooks:
		c.report("reverify.during", "reverify.looks", "these are %d looks, and more than %d of one release are not kept: look less often, or for less long", during/every, procedure.MaxLaterLooks)
	case time.Duration(rule.GetUnseen()) > during/every:
		c.report("reverify.unseen", "reverify.unseen", "there are %d looks: so nobody is ever called", during/every)
	}
	if look := rule.GetLook().AsDuration(); look > every {
		c.report("reverify.look", "reverify.look", "a look of %s is not over when the next one begins, after %s (every)", look, every)
	}
}

// cataloged reports whether a service that is looked at again has a check of that name in the
// catalogue. What requests bring is not known here: it is looked at where the document names none.
func (c *checker) cataloged(rule *policyv1.Reverify, name string) bool {
	return slices.ContainsFunc(c.document.GetServices(), func(s *policyv1.Service) bool {
		return emptyOrHas(rule.GetServices(), s.GetName()) && slices.ContainsFunc(s.GetChecks(), func(x *releasev1.Check) bool { return x.GetName() == name })
	})
}
