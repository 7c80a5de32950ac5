package policy

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

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
