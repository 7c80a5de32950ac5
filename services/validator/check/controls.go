package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Names of facts, by which they are judged.
const (
	// FactStatus is what a workload's status comes to.
	FactStatus = "status"
	// FactGeneration is "<observed> of <wanted>".
	FactGeneration = "generation"
	// FactRestarts is followed by the name of a container, and the value is how often.
	FactRestarts = "restarts of "
	// FactEvent is followed by a reason, and the value is when it was given last.
	FactEvent = "event "
	// FactEnforced is the level that a namespace enforces, "" for none.
	FactEnforced = "enforces"
	// FactHost is a host of an Ingress or a route.
	FactHost = "host"
	// FactRights is the digest of all rights of an account.
	FactRights = "rights"
	// FactRight is one of them.
	FactRight = "right"
)

// Values of facts.
const (
	// StatusCurrent is that of a workload that is as it is to be.
	StatusCurrent = "Current"
	// CoveredBy is followed by the policies that select a pod and let not everything through.
	CoveredBy = "by "
)

func judgeRollout(p *releasev1.KubernetesRolloutProbe, since time.Time, f Fact) opinion {
	if container, ok := strings.CutPrefix(f.Name, FactRestarts); ok {
		n, err := strconv.ParseUint(f.Value, 10, 32)
		switch {
		case err != nil:
			return opinion{open: fmt.Sprintf("%s: how often %s was started again is not known", f.Object, container)}
		case n > uint64(p.GetMaxRestarts()):
			return opinion{bad: fmt.Sprintf("%s: %s was started again %d times, at most %d are allowed", f.Object, container, n, p.GetMaxRestarts())}
		}
		return opinion{}
	}
	if reason, ok := strings.CutPrefix(f.Name, FactEvent); ok {
		last, err := time.Parse(time.RFC3339Nano, f.Value)
		switch {
		case err != nil || since.IsZero():
			return opinion{open: fmt.Sprintf("%s: when the warning %s was given, or the change began, is not known", f.Object, reason)}
		case !last.Before(since.Truncate(time.Second)) && slices.Contains(p.GetNoEvents(), reason):
			// Events tell whole seconds.
			return opinion{bad: fmt.Sprintf("%s: warning %s at %s", f.Object, reason, f.Value)}
		}
		return opinion{}
	}
	switch f.Name {
	case FactStatus:
		if f.Value != StatusCurrent {
			return against(f)
		}
		return opinion{}
	case FactGeneration:
		if observed, wanted, ok := strings.Cut(f.Value, " of "); !ok || observed != wanted {
			return opinion{bad: fmt.Sprintf("%s: generation %s was observed", f.Object, f.Value)}
		}
		return opinion{}
	}
	return unclear(f)
}

// unclear is a fact that no check asks for.
func unclear(f Fact) opinion {
	return opinion{open: fmt.Sprintf("%s: what %s means is not known here", f.Object, f.Name)}
}

func judgeImage(p *releasev1.KubernetesImageControl, approved []string, f Fact) opinion {
	switch {
	case f.Value == "":
		return opinion{open: fmt.Sprintf("%s: nobody says what %s is", f.Object, f.Name)}
	case slices.Contains(p.GetAlso(), f.Value), slices.Contains(approved, f.Value):
		return opinion{}
	case approved == nil:
		return opinion{open: fmt.Sprintf("which images were approved is not known; %s: %s %s", f.Object, f.Name, f.Value)}
	}
	return opinion{bad: fmt.Sprintf("not approved: %s, %s of %s", f.Value, f.Name, f.Object)}
}

func judgePod(p *releasev1.KubernetesPodControl, f Fact) opinion {
	if f.Name != FactEnforced {
		return against(f) // Every other fact is a rule that a pod does not keep to.
	}
	levels := []string{"privileged", "baseline", "restricted"}
	has, want := max(slices.Index(levels, f.Value), 0), slices.Index(levels, criterion.PodLevel(criterion.Enforced(p)))
	if want < 0 {
		return unclear(f)
	}
	if has < want {
		return opinion{bad: fmt.Sprintf("%s enforces %s, at least %s is needed", f.Object, levels[has], levels[want])}
	}
	return opinion{}
}

func judgeNetwork(f Fact) opinion {
	if strings.HasPrefix(f.Value, CoveredBy) {
		return opinion{}
	}
	return against(f)
}

func judgeExposure(p *releasev1.KubernetesExposureControl, f Fact) opinion {
	for _, allowed := range p.GetAllowed() {
		if f.Object != allowed.GetKind()+"/"+allowed.GetName() {
			continue
		}
		if f.Name != FactHost || len(allowed.GetHosts()) == 0 || slices.Contains(allowed.GetHosts(), f.Value) {
			return opinion{}
		}
	}
	return against(f)
}

func judgeAccount(p *releasev1.KubernetesAccountControl, f Fact) opinion {
	switch f.Name {
	case FactRights:
		if want := p.GetRightsDigest(); want != "" && want != f.Value {
			return opinion{bad: fmt.Sprintf("%s has other rights: %s", f.Object, f.Value)}
		}
		return opinion{}
	case FactRight:
		r, ok := readRight(f.Value)
		switch {
		case !ok:
			return unclear(f)
		case r.everything():
			return opinion{bad: fmt.Sprintf("%s has a right without bounds: %s", f.Object, f.Value)}
		case p.GetRightsDigest() == "" && !r.among(p.GetAllowed()):
			return opinion{bad: fmt.Sprintf("%s may more than is allowed: %s", f.Object, f.Value)}
		}
		return opinion{}
	}
	return unclear(f)
}

func judgeSecret(p *releasev1.KubernetesSecretControl, f Fact) opinion {
	if slices.Contains(p.GetAllowed(), f.Name) {
		return opinion{}
	}
	return against(f)
}
