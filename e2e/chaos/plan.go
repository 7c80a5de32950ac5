package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Kinds of targets, by the driver that serves them.
const (
	kindNoop    = "noop"
	kindHost    = "host"
	kindCommand = "command"
	kindConfig  = "config"
)

// targetPlan is one target of the world.
type targetPlan struct {
	ID      string
	Kind    string
	Service string
}

// lane is a queue of releases of one service to the same targets, each asked for
// when the one before has ended.
type lane struct {
	Service string
	Waves   [][]string
	// Share is how many of a hundred releases go this way, roughly.
	Share int
	// Frozen says that a freeze holds the lane's service when the run begins.
	Frozen bool
}

// fates of releases.
const (
	fateGood      = "good"
	fateBad       = "bad" // its checks fail: it has to go back
	fateEmergency = "emergency"
	fateRejected  = "rejected"
	fateWithdrawn = "withdrawn"
	fateNeglected = "neglected" // nobody approves it: it has to expire
	fateAborted   = "aborted"
)

// certainFates are those with which a run begins, so that a short one has some of each as
// well. Of those that nobody approves every other one is authorized in the names of others; of
// three of these one comes to be refused for it, though systems around or its end stop others.
var certainFates = []string{
	fateBad, fateAborted, fateEmergency, fateRejected, fateBad, fateWithdrawn, fateNeglected, fateAborted, fateEmergency,
	fateNeglected, fateNeglected, fateNeglected, fateNeglected, fateNeglected,
}

// releasePlan is one release to be.
type releasePlan struct {
	Number int
	Key    string
	Fate   string
	// NotBefore is how long after the request it may start.
	NotBefore time.Duration
	// Forged makes somebody authorize it in the names of others. Nobody else does.
	Forged bool
	// Wrong makes people approve something else first, which must not count.
	Wrong bool
	// Repeats is how often the request is sent besides the first time.
	Repeats int
}

// plan is everything that follows from the seed.
type plan struct {
	Targets []targetPlan
	Lanes   []lane
	// Releases are those of every lane.
	Releases [][]releasePlan
}

// newPlan spreads the releases over the lanes; bad of a hundred are bad versions. The
// fates come first among those that are not the first of their lane, and these are of the
// one service alone, if it is given.
func newPlan(releases, bad int, fates []string, service string, random *rand.Rand) plan {
	p := plan{}
	target := func(kind, service, id string) string {
		for _, t := range p.Targets {
			if t.ID == id {
				return id
			}
		}
		p.Targets = append(p.Targets, targetPlan{id, kind, service})
		return id
	}
	for i := range 8 {
		p.Lanes = append(p.Lanes, lane{Service: "web", Share: 6, Waves: [][]string{
			{target(kindNoop, "web", fmt.Sprintf("web-%d-a", i)), target(kindNoop, "web", fmt.Sprintf("web-%d-b", i))},
			{target(kindNoop, "web", fmt.Sprintf("web-%d-c", i))},
		}})
	}
	// Four lanes that compete for two targets.
	for i := range 4 {
		p.Lanes = append(p.Lanes, lane{Service: "api", Share: 5, Waves: [][]string{{target(kindNoop, "api", fmt.Sprintf("api-hot-%d", i%2))}}})
	}
	for i := range 3 {
		p.Lanes = append(p.Lanes, lane{Service: "shop", Share: 4, Waves: [][]string{{target(kindHost, "shop", fmt.Sprintf("shop-%d", i))}}})
	}
	for i := range 3 {
		p.Lanes = append(p.Lanes, lane{Service: "batch", Share: 4, Waves: [][]string{{target(kindCommand, "batch", fmt.Sprintf("batch-%d", i))}}})
	}
	// Entries of a bucket, in two waves and in one.
	for i := range 2 {
		p.Lanes = append(p.Lanes, lane{Service: "flags", Share: 4, Waves: [][]string{
			{target(kindConfig, "flags", fmt.Sprintf("flags-%d-a", i)), target(kindConfig, "flags", fmt.Sprintf("flags-%d-b", i))},
			{target(kindConfig, "flags", fmt.Sprintf("flags-%d-c", i))},
		}})
	}
	p.Lanes = append(p.Lanes, lane{Service: "flags", Share: 4, Waves: [][]string{{target(kindConfig, "flags", "flags-2")}}})
	for i := range 2 {
		p.Lanes = append(p.Lanes, lane{Service: "calm", Share: 4, Frozen: true, Waves: [][]string{{target(kindNoop, "calm", fmt.Sprintf("calm-%d", i))}}})
	}
	for i, l := range p.Lanes {
		if service != "" && l.Service != service {
			p.Lanes[i].Share = 0
		}
	}
	p.Releases = make([][]releasePlan, len(p.Lanes))
	certain, neglected := slices.Clone(fates), 0
	for n := range releases {
		at := p.pick(n, random)
		first := len(p.Releases[at]) == 0
		r := release(n, bad, first, random)
		if !first && len(certain) > 0 {
			r.Fate, certain = certain[0], certain[1:]
			r.Wrong = r.Wrong && r.Fate != fateNeglected
		}
		if r.Fate == fateNeglected {
			r.Forged = neglected%2 == 1
			neglected++
		}
		p.Releases[at] = append(p.Releases[at], r)
	}
	return p
}

// pick gives every lane one release, and then each its share.
func (p plan) pick(n int, random *rand.Rand) int {
	if n < len(p.Lanes) {
		return n
	}
	sum := 0
	for _, l := range p.Lanes {
		sum += l.Share
	}
	at := random.IntN(sum)
	for i, l := range p.Lanes {
		if at -= l.Share; at < 0 {
			return i
		}
	}
	return 0
}

// release decides what one release is to be. The first of a lane is a good one, so
// that there is something to go back to.
func release(n, bad int, first bool, random *rand.Rand) releasePlan {
	r := releasePlan{Number: n, Key: fmt.Sprintf("build-%d", n), Fate: fateGood}
	dice, wrong, repeats, later := random.IntN(100), random.IntN(100), random.IntN(100), random.IntN(100)
	if !first {
		switch {
		case dice < bad:
			r.Fate = fateBad
		case dice < bad+12:
			r.Fate = fateEmergency
		case dice < bad+16:
			r.Fate = fateRejected
		case dice < bad+19:
			r.Fate = fateWithdrawn
		case dice < bad+22:
			r.Fate = fateNeglected
		case dice < bad+26:
			r.Fate = fateAborted
		}
	}
	r.Wrong = wrong < 40 && r.Fate != fateNeglected
	if repeats < 20 {
		r.Repeats = 1 + repeats%3
	}
	if later < 12 {
		r.NotBefore = time.Duration(1500+100*later) * time.Millisecond
	}
	return r
}
