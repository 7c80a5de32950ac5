package criterion

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// AsksPeople reports whether a check is answered by a person, once, and not by samples.
func AsksPeople(c *releasev1.Check) bool { return c.GetSignOff() != nil }

func signOffLooks(c *releasev1.Check) string {
	p := c.GetSignOff()
	return "somebody of " + strings.Join(p.GetGroups(), " or ") + " answers " + strconv.Quote(p.GetQuestion())
}

func signOffExpects(c *releasev1.Check) []string {
	if within := c.GetSignOff().GetWithin(); within != nil {
		return []string{"with a pass in " + within.AsDuration().String()}
	}
	return []string{"with a pass before the bake is over"}
}

// signOffFaults are what is wrong with a check that asks people: it has one answer, of which nothing
// can be counted.
func signOffFaults(c *releasev1.Check) (all []Fault) {
	say := func(field string, there bool) {
		if there {
			all = append(all, Fault{Field: field, Rule: "sign_off.samples", Message: "a person answers once, and there are no samples to count"})
		}
	}
	say("min_pass_ratio", c.MinPassRatio != nil)
	say("max_consecutive_failures", c.MaxConsecutiveFailures != nil)
	say("min_samples", c.MinSamples != nil)
	return all
}

// Hurried says why a bake is too short for a check that people may take longer to answer; "" where
// it is not.
func Hurried(c *releasev1.Check, bake time.Duration) string {
	within := c.GetSignOff().GetWithin()
	if within == nil || bake <= 0 || within.AsDuration() <= bake {
		return ""
	}
	return fmt.Sprintf("must not be shorter than %s, in which people may answer check %s", within.AsDuration(), c.GetName())
}
