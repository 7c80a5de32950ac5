package delivery

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var (
	// named is the commit at the end of a revision of Flux, "main@sha1:…".
	named = regexp.MustCompile(`(?:^|[@:])sha(?:1|256):([0-9a-f]{40}(?:[0-9a-f]{24})?)$`)
	// built is the beginning of one at the end of the version of a chart, "1.2.3+…".
	built = regexp.MustCompile(`\+(?:[0-9A-Za-z.-]*\.)?([0-9a-f]{12,40})(?:\.[0-9]+)?$`)
)

// part is the first group of what a pattern finds, "" where it finds nothing.
func part(of *regexp.Regexp, text string) string {
	if m := of.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// sourceOf is where the GitRepository of a Kustomization or HelmRelease is. The error says why
// there is none.
func sourceOf(o *unstructured.Unstructured) (namespace, name string, err error) {
	fields := []string{"spec", "sourceRef"}
	if o.GetKind() == "HelmRelease" {
		fields = []string{"spec", "chart", "spec", "sourceRef"}
	}
	ref, _, _ := unstructured.NestedMap(o.Object, fields...)
	if kind := text(ref, "kind"); kind != "GitRepository" {
		return "", "", notFollowing("%s.kind is %q, and not GitRepository", strings.Join(fields, "."), oneLine(kind))
	}
	if namespace = text(ref, "namespace"); namespace == "" {
		namespace = o.GetNamespace()
	}
	return namespace, text(ref, "name"), nil
}

// gitRepository says why a GitRepository of Flux does not have the branch; nil where it has.
func gitRepository(o *unstructured.Unstructured, source Source) error {
	ref, _, _ := unstructured.NestedMap(o.Object, "spec", "ref")
	branch := text(ref, "branch")
	switch url := text(o.Object, "spec", "url"); {
	case truth(o.Object, "spec", "suspend"):
		return notFollowing("spec.suspend is true")
	case !source.known(url):
		return notFollowing("spec.url is %s", shown(url))
	}
	for _, field := range []string{"commit", "semver", "tag"} {
		if text(ref, field) != "" {
			return notFollowing("spec.ref.%s pins it, so that no commit on the branch counts", field)
		}
	}
	if full := text(ref, "name"); full != "" {
		if full != "refs/heads/"+source.Branch {
			return notFollowing("spec.ref.name is %s, and the branch is %s", oneLine(full), source.Branch)
		}
		return nil
	}
	if branch == "" {
		branch = "master" // So says Flux.
	}
	if branch != source.Branch {
		return notFollowing("spec.ref.branch is %s, and the branch is %s", oneLine(branch), source.Branch)
	}
	return nil
}

// kustomization reads a Kustomization of Flux.
func kustomization(o, repository *unstructured.Unstructured, source Source) (Seen, error) {
	folder := text(o.Object, "spec", "path")
	switch {
	case truth(o.Object, "spec", "suspend"):
		return Seen{}, notFollowing("spec.suspend is true")
	case !takes(folder, source.Path):
		return Seen{}, notFollowing("spec.path is %s, and the target's is %s", oneLine(folder), source.Path)
	case !truth(o.Object, "spec", "wait") && len(list(o.Object, "spec", "healthChecks")) == 0:
		return Seen{}, notFollowing("it waits for nothing that it applies, so that nobody learns whether it works: set spec.wait")
	}
	s := conditions(o)
	s.Revision = part(named, text(o.Object, "status", "lastAppliedRevision"))
	s.Tried = part(named, text(o.Object, "status", "lastAttemptedRevision"))
	s.settle(repository)
	return s, nil
}

// helmRelease reads a HelmRelease of Flux whose chart lies in the repository.
func helmRelease(o, repository *unstructured.Unstructured, source Source) (Seen, error) {
	chart := text(o.Object, "spec", "chart", "spec", "chart")
	switch {
	case truth(o.Object, "spec", "suspend"):
		return Seen{}, notFollowing("spec.suspend is true")
	case text(o.Object, "spec", "chart", "spec", "reconcileStrategy") != "Revision":
		return Seen{}, notFollowing("spec.chart.spec.reconcileStrategy is not Revision, so that no commit counts before the version of the chart is another one")
	case !takes(chart, source.Path):
		return Seen{}, notFollowing("spec.chart.spec.chart is %s, and the target's path is %s", oneLine(chart), source.Path)
	case truth(o.Object, "spec", "upgrade", "disableWait") || truth(o.Object, "spec", "install", "disableWait"):
		return Seen{}, notFollowing("disableWait has it wait for nothing that it applies, so that nobody learns whether it works")
	}
	s := conditions(o)
	s.Tried = part(built, text(o.Object, "status", "lastAttemptedRevision"))
	if newest := list(o.Object, "status", "history"); len(newest) > 0 && text(newest[0], "status") == "deployed" {
		s.Revision = part(built, text(newest[0], "chartVersion"))
	}
	s.settle(repository)
	return s, nil
}

// passing are reasons of Ready for which Flux is not the one at fault, or has not begun: they go
// by themselves.
var passing = []string{"DependencyNotReady", "Progressing", "ProgressingWithRetry", "ArtifactFailed", "SourceNotReady"}

// conditions read what an object of Flux says of its newest generation.
func conditions(o *unstructured.Unstructured) Seen {
	s := Seen{Message: "nothing said"}
	observed, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
	if observed != o.GetGeneration() {
		s.Message = "it has not looked at what is wanted of it"
		return s
	}
	for _, c := range list(o.Object, "status", "conditions") {
		kind, status, reason := text(c, "type"), text(c, "status"), text(c, "reason")
		why := oneLine(reason + ": " + text(c, "message"))
		switch {
		case kind == "Stalled" && status == "True":
			s.Failed = why
		case kind == "Ready" && status == "True":
			s.Healthy, s.Message = true, why
		case kind == "Ready":
			s.Message = why
			if status == "False" && !slices.Contains(passing, reason) && s.Failed == "" {
				s.Failed = why
			}
		}
	}
	return s
}

// settle says what of both revisions follows: while another one is tried, the one before is not
// what is there.
func (s *Seen) settle(repository *unstructured.Unstructured) {
	s.Synced = s.Healthy && s.Revision != "" && s.Revision == s.Tried
	if fetched := part(named, text(repository.Object, "status", "artifact", "revision")); fetched != "" {
		s.Message += fmt.Sprintf(" (its source is at %s)", fetched[:12])
	}
}
