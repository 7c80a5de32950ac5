package scope

import (
	"errors"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// sources looks whether there is an address of every source of metrics or of logs that a check asks
// which the release or its way back will be looked at with: a check without one comes to no verdict
// when the release is in production already (PD-6.1). Each source is one finding. Only the
// validator knows, so that nobody can tell before this step.
func (l *look) sources(metrics, logs []string) {
	for _, c := range criterion.Unasked(l.checks(), metrics, logs) {
		source, ofLogs := criterion.Source(c)
		kind := "metrics"
		if ofLogs {
			kind = "logs"
		}
		l.find(l.severity(releasev1.Finding_SEVERITY_UNSPECIFIED, releasev1.Finding_SEVERITY_BLOCKING), "check.source", source,
			"the validator has no address of the source of %s %s: check %s, which asks it, would come to no verdict", kind, source, c.GetName())
	}
}

// commands looks whether the validator would have every program run that a check calls, with the values
// that it gives: one that it would not comes to no verdict when the release is in production already
// (PD-6.1). Each check is one finding. Which programs are listed only the validator knows.
func (l *look) commands(refuses func(*releasev1.CommandProbe) error) {
	said := map[string]bool{}
	for _, c := range l.checks() {
		probe := c.GetCommand()
		if probe == nil {
			continue
		}
		err := errors.New("this validator runs none")
		if refuses != nil {
			err = refuses(probe)
		}
		if err == nil || said[c.GetName()+err.Error()] {
			continue
		}
		said[c.GetName()+err.Error()] = true
		l.find(l.severity(releasev1.Finding_SEVERITY_UNSPECIFIED, releasev1.Finding_SEVERITY_BLOCKING), "check.command", probe.GetCommand(),
			"check %s, which has it run, would come to no verdict: %v", c.GetName(), err)
	}
}

// namespaces looks whether it is known of every target which namespace it is, where a check looks at
// objects of a cluster. Each target without one is one finding (PD-6.1).
func (l *look) namespaces(configured []string) {
	checks := l.checks()
	i := slices.IndexFunc(checks, criterion.InKubernetes)
	if i < 0 {
		return
	}
	for _, wave := range l.request.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			if slices.Contains(configured, id) {
				continue
			}
			l.find(l.severity(releasev1.Finding_SEVERITY_UNSPECIFIED, releasev1.Finding_SEVERITY_BLOCKING), "check.cluster", id,
				"the validator does not know which namespace of which cluster %s is: check %s, which looks there, would come to no verdict", id, checks[i].GetName())
		}
	}
}

// silent looks whether every target can tell what it runs, where the validator has an address of it:
// that the approved digest runs is a part of every verdict, and of one that cannot there would be
// none when the release is in production already. Of manifests and charts it is theirs, which no
// image tells by itself. Each such target is one finding (PD-6.1).
func (l *look) silent(configured []string) {
	for _, id := range procedure.Targets(l.request) {
		if slices.Contains(configured, id) {
			l.find(l.severity(releasev1.Finding_SEVERITY_UNSPECIFIED, releasev1.Finding_SEVERITY_BLOCKING), "check.digest", id,
				"the validator's address of %s has no digest_path, and no config: nobody could tell whether what was approved runs there, and the release would come to no verdict", id)
		}
	}
}

// controls looks whether what the environment demands of namespaces is looked at, where a target is
// one by what the validator knows, whichever driver serves it: before this step only the drivers are
// known that place in clusters by themselves. No emergency does without (PD-6.1).
func (l *look) controls(namespaces []string) {
	required := l.index.Environment(l.request.GetEnvironment()).GetRequiredControls()
	i := slices.IndexFunc(procedure.Targets(l.request), func(id string) bool { return slices.Contains(namespaces, id) })
	if i < 0 {
		return
	}
	catalogue := l.index.Service(l.request.GetService()).GetChecks()
	forth, back := criterion.Missing(l.request, catalogue, required, false), criterion.Missing(l.request, catalogue, required, true)
	if len(forth)+len(back) == 0 {
		return
	}
	l.find(releasev1.Finding_SEVERITY_BLOCKING, "controls.required", procedure.Targets(l.request)[i],
		"it is a namespace of Kubernetes, of the whole of which %s demands controls that no check has: forth %s%s; back %s%s",
		l.request.GetEnvironment(), words(forth), criterion.MissingWhy(l.request, catalogue, forth, false),
		words(back), criterion.MissingWhy(l.request, catalogue, back, true))
}

func words(controls []string) string {
	if len(controls) == 0 {
		return "none is missing"
	}
	return strings.Join(controls, ", ")
}

// checks are all that the release or its way back will be looked at with.
func (l *look) checks() []*releasev1.Check {
	catalogue := l.index.Service(l.request.GetService()).GetChecks()
	return slices.Concat(criterion.Looked(l.request, catalogue, false), criterion.Looked(l.request, catalogue, true))
}
