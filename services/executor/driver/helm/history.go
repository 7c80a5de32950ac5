package helm

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

const (
	// history is how the names of the Secrets begin in which Helm keeps its releases.
	history = "sh.helm.release.v1."
	// labelEffect is what a revision of Helm was made for, annotationKey by which attempt.
	labelEffect   = "shipwarden.github.io/effect"
	annotationKey = "shipwarden.github.io/key"
)

// revision reports whether a Secret is one of Helm's history of the release.
func (g *gate) revision(o *unstructured.Unstructured) bool {
	return o.GetKind() == "Secret" && strings.HasPrefix(o.GetName(), history+g.release+".v") && o.GetLabels()["owner"] == "helm"
}

// store writes a revision to Helm's history: a new one with the mark of the call, an old one with the
// mark that it has.
func (g *gate) store(r *http.Request, of schema.GroupVersionResource, body []byte) (*http.Response, error) {
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(typed(body)); err != nil {
		return nil, fmt.Errorf("a revision of Helm: %w: %w", driver.ErrInvalid, err)
	}
	if !g.revision(o) {
		return nil, fmt.Errorf("secret %s is no revision of release %s: %w", o.GetName(), g.release, driver.ErrUnsupported)
	}
	objects := g.At(g.server, of)
	answer, err := g.again(r, "Secret "+o.GetName(), func(ctx context.Context) (*http.Request, error) {
		found, err := objects.Get(ctx, o.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			found, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
		if err := g.change.Holds(ctx); err != nil {
			return nil, err
		}
		wanted := o.DeepCopy()
		mark(wanted, g.marks(), g.change.Key)
		switch {
		case r.Method == http.MethodPost && found != nil && found.GetLabels()[cluster.LabelFence] == g.stamp:
			// The answer to the same request was lost.
			wanted.SetResourceVersion(found.GetResourceVersion())
			return put(r, wanted)
		case r.Method == http.MethodPut && found != nil:
			marks := map[string]string{}
			for name, value := range found.GetLabels() {
				if strings.HasPrefix(name, "shipwarden.github.io/") {
					marks[name] = value
				}
			}
			wanted = o.DeepCopy()
			mark(wanted, marks, driver.Key(found.GetAnnotations()[annotationKey]))
			wanted.SetResourceVersion(found.GetResourceVersion())
		}
		return with(r, wanted.Object)
	})
	if err == nil && r.Method == http.MethodPost && answer.StatusCode < http.StatusBadRequest {
		g.at(PointPending)
	}
	return answer, err
}

// marks are the labels of what the call makes in Helm's history.
func (g *gate) marks() map[string]string {
	return map[string]string{cluster.LabelTarget: g.Target, cluster.LabelFence: g.stamp, labelEffect: g.effect}
}

func mark(o *unstructured.Unstructured, marks map[string]string, key driver.Key) {
	labels := o.GetLabels()
	for name, value := range marks {
		labels[name] = value
	}
	o.SetLabels(labels)
	if key != "" {
		o.SetAnnotations(map[string]string{annotationKey: string(key)})
	}
}

// typed is a Secret as typed clients write it, which leave out what it is.
func typed(body []byte) []byte {
	var o map[string]any
	if json.Unmarshal(body, &o) != nil {
		return body
	}
	o["apiVersion"], o["kind"] = "v1", "Secret"
	text, err := json.Marshal(o)
	if err != nil {
		return body
	}
	return text
}

// effectOf is a label by which a revision that is deployed is known to be that of an effect.
func effectOf(key driver.Key, digest, part string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(key.Effect()+" "+digest+" "+part)))[:32]
}
