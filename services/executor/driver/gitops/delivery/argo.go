package delivery

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// commit is the name of a commit, as Argo CD has it.
var commit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// application reads an Application of Argo CD.
func application(o *unstructured.Unstructured, source Source) (Seen, error) {
	place, err := followed(o, source)
	if err != nil {
		return Seen{}, err
	}
	sync, health := text(o.Object, "status", "sync", "status"), text(o.Object, "status", "health", "status")
	s := Seen{Synced: sync == "Synced", Healthy: health == "Healthy", Revision: revisionAt(o.Object, place, "status", "sync")}
	s.Tried = s.Revision
	s.Message = fmt.Sprintf("%s and %s", said(sync), said(health))
	if !compared(o.Object, place) {
		// What it says is of another folder, branch or repository, which it followed before.
		return Seen{Message: "it has not looked at what is wanted of it"}, nil
	}
	phase := text(o.Object, "status", "operationState", "phase")
	switch {
	case phase == "Failed" || phase == "Error":
		// It is not tried again by itself with the same commit.
		if tried := revisionAt(o.Object, place, "status", "operationState", "syncResult"); tried == "" || tried == s.Revision {
			s.Failed = "its synchronization has failed: " + oneLine(text(o.Object, "status", "operationState", "message"))
		}
	case phase == "Running" || phase == "Terminating":
		s.Message += ", a synchronization is running: " + oneLine(text(o.Object, "status", "operationState", "message"))
		// Until it is over, nobody knows what comes of it.
		s.Synced = false
	case health == "Degraded" || health == "Missing" && s.Synced:
		s.Failed = "what it has placed is " + health
		if why := oneLine(text(o.Object, "status", "health", "message")); why != "" {
			s.Failed += ": " + why
		} else if bad := unhealthy(o.Object); bad != "" {
			s.Failed += ": " + bad
		}
	}
	for _, c := range list(o.Object, "status", "conditions") {
		if kind := text(c, "type"); strings.HasSuffix(kind, "Error") && s.Failed == "" {
			s.Failed = kind + ": " + oneLine(text(c, "message"))
		}
	}
	for _, r := range list(o.Object, "status", "resources") {
		if is := text(r, "status"); is == "OutOfSync" {
			s.Drift = append(s.Drift, fmt.Sprintf("%s %s: is not as Git has it", oneLine(text(r, "kind")), oneLine(text(r, "name"))))
		}
	}
	slices.Sort(s.Drift)
	return s, nil
}

// compared says whether the status is of the source in a place as it is wanted now. Argo CD has no
// observed generation; it says what it has compared.
func compared(o map[string]any, place int) bool {
	then, there, _ := unstructured.NestedMap(o, "status", "sync", "comparedTo")
	if !there {
		return true // There is nothing yet, or it does not tell.
	}
	was, is := source(then, place), source(o, place, "spec")
	for _, field := range []string{"repoURL", "path", "targetRevision", "chart"} {
		if text(was, field) != text(is, field) {
			return false
		}
	}
	return true
}

// source is the source in a place, as followed has it.
func source(o map[string]any, place int, fields ...string) map[string]any {
	if place < 0 {
		one, _, _ := unstructured.NestedMap(o, append(slices.Clone(fields), "source")...)
		return one
	}
	all := list(o, append(slices.Clone(fields), "sources")...)
	if place >= len(all) {
		return nil
	}
	return all[place]
}

// said is a status of Argo CD in a message.
func said(status string) string {
	if status == "" {
		return "nothing said"
	}
	return oneLine(status)
}

// unhealthy names the first resource that is not healthy.
func unhealthy(o map[string]any) string {
	for _, r := range list(o, "status", "resources") {
		if is := text(r, "health", "status"); is == "Degraded" || is == "Missing" {
			return oneLine(fmt.Sprintf("%s %s %s", text(r, "kind"), text(r, "name"), text(r, "health", "message")))
		}
	}
	return ""
}

// revisionAt is the commit that a status names for the source in a place.
func revisionAt(o map[string]any, place int, fields ...string) string {
	if place < 0 {
		if r := text(o, append(slices.Clone(fields), "revision")...); commit.MatchString(r) {
			return r
		}
		return ""
	}
	all, _, _ := unstructured.NestedStringSlice(o, append(slices.Clone(fields), "revisions")...)
	if place < len(all) && commit.MatchString(all[place]) {
		return all[place]
	}
	return ""
}

// followed is the place of the source that is the repository, -1 where the application has but
// one. The error says why no commit reaches it.
func followed(o *unstructured.Unstructured, source Source) (place int, err error) {
	automated, there, _ := unstructured.NestedMap(o.Object, "spec", "syncPolicy", "automated")
	enabled, said, _ := unstructured.NestedBool(automated, "enabled")
	switch {
	case !there:
		return 0, notFollowing("spec.syncPolicy.automated is not set, so that a commit waits for somebody who synchronizes by hand")
	case said && !enabled:
		return 0, notFollowing("spec.syncPolicy.automated.enabled is false, so that a commit waits for somebody who synchronizes by hand")
	case o.GetAnnotations()["argocd.argoproj.io/skip-reconcile"] == "true":
		return 0, notFollowing("the annotation argocd.argoproj.io/skip-reconcile has it left alone")
	}
	if _, there, _ := unstructured.NestedMap(o.Object, "spec", "sourceHydrator"); there {
		return 0, notFollowing("spec.sourceHydrator has it follow another branch than the one that is written")
	}
	sources, first := list(o.Object, "spec", "sources"), 0
	if len(sources) == 0 {
		one, _, _ := unstructured.NestedMap(o.Object, "spec", "source")
		sources, first = []map[string]any{one}, -1
	}
	var why []string
	for i, s := range sources {
		revision := text(s, "targetRevision")
		switch {
		case !source.known(text(s, "repoURL")):
			why = append(why, fmt.Sprintf("its repoURL is %s", shown(text(s, "repoURL"))))
		case !slices.Contains([]string{"", "HEAD", source.Branch, "refs/heads/" + source.Branch}, revision):
			why = append(why, fmt.Sprintf("its targetRevision is %s, and the branch is %s", oneLine(revision), source.Branch))
		case !takes(text(s, "path"), source.Path):
			why = append(why, fmt.Sprintf("its path is %s, and the target's is %s", oneLine(text(s, "path")), source.Path))
		default:
			return max(first, first+i), nil
		}
	}
	return 0, notFollowing("none of its sources is the target's: %s", strings.Join(why, "; "))
}
