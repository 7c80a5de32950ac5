package check

import (
	"reflect"
	"testing"
)

// TestARightIsReadAsItWasWritten, since it is judged by what stands in the evidence.
func TestARightIsReadAsItWasWritten(t *testing.T) {
	for text, want := range map[string]Right{
		"get,list configmaps in HERE":            {Verbs: []string{"get", "list"}, Resource: "configmaps", Namespace: Here},
		"get nodes.metrics.k8s.io in *":          {Verbs: []string{"get"}, Resource: "nodes.metrics.k8s.io", Namespace: Everywhere},
		"update leases.x named shop in kube-sys": {Verbs: []string{"update"}, Resource: "leases.x", Name: "shop", Namespace: "kube-sys"},
		"get path /metrics":                      {Verbs: []string{"get"}, Path: "/metrics"},
	} {
		got, ok := readRight(text)
		if !ok || !reflect.DeepEqual(got, want) || want.String() != text {
			t.Errorf("%q is read as %+v, %v, and written as %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "get", "get configmaps", "get configmaps of HERE", "get configmaps named a b in HERE", "get paths /metrics"} {
		if got, ok := readRight(text); ok {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}
