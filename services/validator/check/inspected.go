package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// MaxFacts bounds how many facts of one look are kept.
	MaxFacts = 40
	// maxFact bounds the bytes of what a fact is and of what it is about, and maxFound those of all
	// facts of one look, as they are written down.
	maxFact, maxFound = 253, 8000
	// factFrame is how many bytes are written around a fact.
	factFrame = 40
)

// Inspected is what a look at objects of a cluster found: facts, of which the check makes an
// outcome. They say what is there, and nothing secret of it.
type Inspected struct {
	// Asked is when it was looked.
	Asked time.Time `json:"asked"`
	// Objects is how many were looked at, and LeftOut how many pods were not since they are ending
	// or run nothing yet.
	Objects int `json:"objects"`
	LeftOut int `json:"left_out,omitempty"`
	// Facts are what was found, at most MaxFacts, and More is how many others there are.
	Facts []Fact `json:"facts"`
	More  int    `json:"more,omitempty"`
	// Unknown is why something could not be looked at; "" where all was.
	Unknown string `json:"unknown,omitempty"`
}

// Fact is one thing that was found of an object.
type Fact struct {
	// Object is what it is about, such as Deployment/shop; Name what was looked at, and Value what
	// it is.
	Object string `json:"object"`
	Name   string `json:"name"`
	Value  string `json:"value"`
}

// Known is what is known of the release that facts are compared with.
type Known struct {
	// Images are the digests of those that were approved; nil where that is not known.
	Images []string
	// Since is when the change began.
	Since time.Time
}

// opinion is what a fact means: it speaks against the target, or leaves open whether it does.
// Both are "" where it is as it should be.
type opinion struct{ bad, open string }

// JudgeInspected derives the outcome of a sample from what was found. It is pure. What speaks
// against the target is a failure, whatever else is not known; where nothing does, it passes only
// if all was looked at.
func JudgeInspected(c *releasev1.Check, known Known, i *Inspected) Observation {
	judge, ok := judgeOf(c, known)
	if !ok {
		return Observation{Outcome: Error, Detail: "no such control is known here", Inspected: i}
	}
	open := i.Unknown
	for _, f := range i.Facts {
		of := judge(f)
		if of.bad != "" {
			return Observation{Outcome: Failed, Detail: of.bad, Inspected: i}
		}
		if open == "" {
			open = of.open
		}
	}
	switch {
	case open != "":
	case i.Objects == 0:
		open = "nothing there that could be looked at"
	case i.More > 0 && c.GetKubernetesSecurity().GetServiceAccount().GetRightsDigest() == "":
		// A digest is of all rights, kept or not.
		open = fmt.Sprintf("%d facts, of which %d were kept", len(i.Facts)+i.More, len(i.Facts))
	}
	if open != "" {
		return Observation{Outcome: Error, Detail: open, Inspected: i}
	}
	return Observation{Outcome: Passed, Detail: fmt.Sprintf("as it should be: %d looked at", i.Objects), Inspected: i}
}

// judgeOf is how facts of a check are judged.
func judgeOf(c *releasev1.Check, known Known) (func(Fact) opinion, bool) {
	if p := c.GetKubernetesRollout(); p != nil {
		return func(f Fact) opinion { return judgeRollout(p, known.Since, f) }, true
	}
	p := c.GetKubernetesSecurity()
	controls := criterion.Controls(c)
	if len(controls) != 1 {
		return nil, false
	}
	judge, ok := map[string]func(Fact) opinion{
		"image_digests":   func(f Fact) opinion { return judgeImage(p.GetImageDigests(), known.Images, f) },
		"pod_security":    func(f Fact) opinion { return judgePod(p.GetPodSecurity(), f) },
		"network_policy":  judgeNetwork,
		"exposure":        func(f Fact) opinion { return judgeExposure(p.GetExposure(), f) },
		"service_account": func(f Fact) opinion { return judgeAccount(p.GetServiceAccount(), f) },
		"plain_secrets":   func(f Fact) opinion { return judgeSecret(p.GetPlainSecrets(), f) },
	}[controls[0]]
	return judge, ok
}

// against says a fact that speaks against the target.
func against(f Fact) opinion {
	return opinion{bad: strings.TrimSpace(fmt.Sprintf("%s: %s %s", f.Object, f.Name, f.Value))}
}

// reinspected says why the outcome of a sample is not what was found; nil where it is, or where
// nothing is found by such a check.
func reinspected(c *releasev1.Check, known Known, s Sample) error {
	switch {
	case !criterion.InKubernetes(c):
		if s.Inspected != nil {
			return fmt.Errorf("a check of the kind %s looks at no objects", criterion.Kind(c))
		}
		return nil
	case s.Inspected == nil:
		if s.Outcome != Error {
			return fmt.Errorf("it %s, and nothing was found", s.Outcome)
		}
		return nil
	}
	judged := JudgeInspected(c, known, s.Inspected)
	if judged.Outcome != s.Outcome || clean(judged.Detail) != s.Detail {
		return fmt.Errorf("it %s (%s), and what was found %s (%s)", s.Outcome, s.Detail, judged.Outcome, judged.Detail)
	}
	return nil
}

// tidy makes what was found fit to be kept, and bounds it: what speaks against the target stands
// first, so that it is kept.
func (i *Inspected) tidy(c *releasev1.Check, known Known) {
	if judge, ok := judgeOf(c, known); ok {
		rank := func(f Fact) int {
			if judge(f).bad != "" {
				return 0
			}
			return 1
		}
		slices.SortStableFunc(i.Facts, func(a, b Fact) int { return rank(a) - rank(b) })
	}
	if more := len(i.Facts) - MaxFacts; more > 0 {
		i.Facts, i.More = i.Facts[:MaxFacts], i.More+more
	}
	size := 0
	for n, f := range i.Facts {
		f = Fact{Object: cleanTo(f.Object, maxFact), Name: cleanTo(f.Name, maxFact), Value: cleanTo(f.Value, maxFact)}
		if size += len(f.Object) + len(f.Name) + len(f.Value) + factFrame; size > maxFound {
			i.Facts, i.More = i.Facts[:n], i.More+len(i.Facts)-n
			break
		}
		i.Facts[n] = f
	}
	i.Unknown = clean(i.Unknown)
	i.Asked = i.Asked.UTC().Truncate(time.Millisecond)
	if i.Facts == nil {
		i.Facts = []Fact{}
	}
}
