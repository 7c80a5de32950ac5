package cluster

import (
	"reflect"
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// Whatever an artifact holds, what is taken of it lies in the namespace, is no secret, and
// comes back as it was kept.
func FuzzNoManifestLeavesTheNamespace(f *testing.F) {
	shaketest.Add(f, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop, labels: {x: y}}\ndata: {a: b}\n---\n"+
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 2, template: {spec: {containers: [{name: a, image: b}]}}}\n")
	shaketest.Add(f, `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "other"}}]}`)
	shaketest.Add(f, "apiVersion: v1\nkind: ConfigMap\nmetadata: &m {name: a}\ndata: {a: *m}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {b: 1e999, c: 0x7fffffffffffffff, d: 2026-01-01}\n")
	n := &Namespace{Target: "shop-1", Name: "shop"}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := n.Parse([][]byte{[]byte(text)}, Rules{})
		if err != nil {
			return
		}
		for _, o := range s {
			if r := RefOf(o); o.GetNamespace() != "shop" || o.GetLabels()[LabelTarget] != "shop-1" || r.Kind == "Secret" && r.Group == "" || r.Kind == "Job" && r.Group == "batch" || r.Name == "" || r.Kind == "" {
				t.Errorf("taken: %v", o.Object)
			}
		}
		kept, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(kept)
		if err != nil || !reflect.DeepEqual(again.Refs(), s.Refs()) {
			t.Fatalf("kept as %s: %v, %v", kept, again.Refs(), err)
		}
		if second, err := again.Encode(); err != nil || string(second) != string(kept) {
			t.Errorf("kept as\n%s\nand then as\n%s, %v", kept, second, err)
		}
	})
}
