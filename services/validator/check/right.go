package check

import (
	"slices"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// Here is the namespace of the target.
	Here = "HERE"
	// Everywhere is all namespaces, or none.
	Everywhere = "*"
)

// Right lets an account do something with one kind of resource.
type Right struct {
	// Verbs are what it may do, in order.
	Verbs []string
	// Resource is followed by a dot and its group, where it has one.
	Resource string
	// Name is the one object with which it may; "" for every one.
	Name string
	// Namespace is where: Here, Everywhere or the name of another one.
	Namespace string
	// Path is what is asked for that is no resource; then all but the verbs are "".
	Path string
}

// String is the right on one line: "get,list configmaps in HERE", "get nodes.metrics.k8s.io named a
// in *", "get path /metrics".
func (r Right) String() string {
	out := strings.Join(r.Verbs, ",")
	if r.Path != "" {
		return out + " path " + r.Path
	}
	out += " " + r.Resource
	if r.Name != "" {
		out += " named " + r.Name
	}
	return out + " in " + r.Namespace
}

// readRight reads what String wrote.
func readRight(text string) (r Right, ok bool) {
	switch words := strings.Fields(text); {
	case len(words) == 3 && words[1] == "path":
		r = Right{Path: words[2]}
		r.Verbs = strings.Split(words[0], ",")
	case len(words) == 4 && words[2] == "in":
		r = Right{Verbs: strings.Split(words[0], ","), Resource: words[1], Namespace: words[3]}
	case len(words) == 6 && words[2] == "named" && words[4] == "in":
		r = Right{Verbs: strings.Split(words[0], ","), Resource: words[1], Name: words[3], Namespace: words[5]}
	default:
		return r, false
	}
	return r, true
}

// everything reports whether the right has a wildcard for what may be done, or with what.
func (r Right) everything() bool {
	return slices.Contains(r.Verbs, "*") || strings.Contains(r.Resource, "*") || r.Path == "*" || r.Path == "/*"
}

// among reports whether the allowed rights hold each verb of this one.
func (r Right) among(allowed []*releasev1.KubernetesRight) bool {
	if r.Path != "" {
		return false
	}
	for _, verb := range r.Verbs {
		if !slices.ContainsFunc(allowed, func(a *releasev1.KubernetesRight) bool {
			resource := a.GetResource()
			if a.GetApiGroup() != "" {
				resource += "." + a.GetApiGroup()
			}
			return resource == r.Resource && slices.Contains(a.GetVerbs(), verb) &&
				(a.GetName() == "" || a.GetName() == r.Name) && (a.GetEverywhere() || r.Namespace == Here)
		}) {
			return false
		}
	}
	return true
}
