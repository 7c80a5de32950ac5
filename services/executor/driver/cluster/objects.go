package cluster

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Ref names an object of a namespace.
type Ref struct {
	// Group is that of its kind; "" is the core's.
	Group string `json:"group,omitempty"`
	// Version is the one of its kind by which it was written.
	Version string `json:"version"`
	// Kind is its kind.
	Kind string `json:"kind"`
	// Name is its name.
	Name string `json:"name"`
}

// String is the kind and the name, for people.
func (r Ref) String() string { return r.Kind + " " + r.Name }

// Same says that two names lead to one object: a kind has several versions.
func (r Ref) Same(o Ref) bool { return r.Group == o.Group && r.Kind == o.Kind && r.Name == o.Name }

// Has reports whether a list has the name of an object.
func Has(list []Ref, r Ref) bool { return slices.ContainsFunc(list, r.Same) }

// Union is the first list, and what of the second is not in it.
func Union(first, second []Ref) []Ref {
	out := slices.Clone(first)
	for _, r := range second {
		if !Has(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// RefOf is the name of an object.
func RefOf(o *unstructured.Unstructured) Ref {
	kind := o.GroupVersionKind()
	return Ref{Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Name: o.GetName()}
}

// Set is what a target is to carry, in the order in which it is placed.
type Set []*unstructured.Unstructured

// Refs are the names of its objects.
func (s Set) Refs() []Ref {
	refs := make([]Ref, len(s))
	for i, o := range s {
		refs[i] = RefOf(o)
	}
	return refs
}
