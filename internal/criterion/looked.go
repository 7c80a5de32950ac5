package criterion

import (
	"fmt"
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// MaxOthers bounds of how many other targets a baseline is taken, the first of the plan.
	MaxOthers = 10
	// Room is for how much there is room in what is kept of one bake for comparisons, in samples
	// of some 300 bytes. It is shared by all checks on all targets.
	Room = 10_000
)

// Looked are the checks that a release is looked at with, or its way back: those of the service's
// catalogue entry, and those of the request that the entry does not name itself, since what the
// procedure demands of a service cannot be left out by a request. On the way back the request's are
// those of its rollback plan; where there are none at all, those of the way forth.
func Looked(r *releasev1.Request, catalogue []*releasev1.Check, back bool) []*releasev1.Check {
	all := append([]*releasev1.Check(nil), catalogue...)
	asked := r.GetValidation().GetChecks()
	if of := r.GetRollbackPlan().GetChecks(); back && len(all)+len(of) > 0 {
		asked = of
	}
	taken := map[string]bool{}
	for _, c := range all {
		taken[c.GetName()] = true
	}
	for _, c := range asked {
		if !taken[c.GetName()] {
			all = append(all, c)
		}
	}
	return all
}

// Missing are those of the required controls that no check has with which a release is looked at, or
// its way back (PD-6.1). A check of workloads that it names has none of them: what nobody names would
// be exempt. Nor does one of the request have that of images which lets others run beside those that
// are released: whoever requests would approve what has passed no gate.
func Missing(r *releasev1.Request, catalogue []*releasev1.Check, required []string, back bool) (all []string) {
	var has []string
	for _, c := range Looked(r, catalogue, back) {
		for _, control := range Controls(c) {
			if short(c, control, catalogue) == "" {
				has = append(has, control)
			}
		}
	}
	for _, control := range required {
		if !slices.Contains(has, control) {
			all = append(all, control)
		}
	}
	return all
}

// short says why a check has less of a control than is required; "" where it does not.
func short(c *releasev1.Check, control string, catalogue []*releasev1.Check) string {
	switch {
	case Workloads(c) != nil && control != "exposure":
		return "of the workloads that it names alone, leave out its workloads"
	case control == "image_digests" && len(c.GetKubernetesSecurity().GetImageDigests().GetAlso()) > 0 && !slices.Contains(catalogue, c):
		return "but for images that the request lets run by itself: release them, or leave out its also, and name them in the check of the service in the document"
	}
	return ""
}

// MissingWhy says beside what is missing what is easily overlooked: that a check has such a control,
// and less of it than is required. It is empty where none does.
func MissingWhy(r *releasev1.Request, catalogue []*releasev1.Check, missing []string, back bool) string {
	for _, c := range Looked(r, catalogue, back) {
		for _, control := range Controls(c) {
			if why := short(c, control, catalogue); why != "" && slices.Contains(missing, control) {
				return fmt.Sprintf(": check %s has %s %s", c.GetName(), control, why)
			}
		}
	}
	return ""
}

// RoomFor is how much of the room the comparison of a check on one target takes at most, beside
// that many others; 0 for a check that compares nothing.
func RoomFor(check *releasev1.Check, bake time.Duration, others int) int {
	c, ok := ComparisonOf(check.GetPrometheus())
	if !ok {
		return 0
	}
	others = min(others, MaxOthers)
	values := min(c.Values(bake), MaxCompared) + MaxCompared
	if others == 0 {
		values = min(c.Values(bake), MaxCompared) + min(c.Values(c.Over), MaxCompared)
	}
	// What is put in place of a placeholder is longer than it, and quotes are escaped.
	text := 2*(len(check.GetPrometheus().GetQuery())+len(AgeOf(check.GetPrometheus()))) + 800
	return ((1+max(others, 1))*text + values*62 + 1500) / 300
}

// Crowded says why there is no room for all comparisons of a wave, or of the way back from one; ""
// where there is. Each is validated for that long, and with the checks of the service's catalogue
// entry as well.
func Crowded(r *releasev1.Request, catalogue []*releasev1.Check, bake time.Duration) string {
	forth, back := Looked(r, catalogue, false), Looked(r, catalogue, true)
	waves := r.GetPlan().GetWaves()
	left := 0
	for _, w := range waves {
		left += len(w.GetTargets())
	}
	touched, earlier := 0, 0
	for i, w := range waves {
		n := len(w.GetTargets())
		touched, left = touched+n, left-n
		if why := crowded(fmt.Sprintf("in wave %d", i+1), forth, bake, n, left, earlier); why != "" {
			return why
		}
		if why := crowded(fmt.Sprintf("on the way back from wave %d", i+1), back, bake, touched, left, 0); why != "" {
			return why
		}
		earlier = n
	}
	return ""
}

// crowded says it of one bake of that many targets, with that many that are not changed and of the
// wave before.
func crowded(what string, checks []*releasev1.Check, bake time.Duration, targets, unchanged, earlier int) string {
	need := 0
	var names []string
	for _, c := range checks {
		others := 0
		switch c.GetPrometheus().GetBaseline().GetKind() {
		case releasev1.MetricBaseline_KIND_UNCHANGED:
			others = unchanged
		case releasev1.MetricBaseline_KIND_EARLIER_WAVE:
			others = earlier
		case releasev1.MetricBaseline_KIND_BEFORE, releasev1.MetricBaseline_KIND_UNSPECIFIED:
		}
		if one := RoomFor(c, bake, others); one > 0 {
			need += one * targets
			names = append(names, c.GetName())
		}
	}
	if need <= Room {
		return ""
	}
	return fmt.Sprintf("%s the comparisons on %d targets take %.3g times the room that there is to keep them: take fewer targets, fewer comparisons or longer steps (%s)",
		what, targets, float64(need)/Room, strings.Join(names, ", "))
}
