package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// apply writes an object, as cluster.Change.Put does.
func (g *gate) apply(r *http.Request, of schema.GroupVersionResource, name string, body []byte) (*http.Response, error) {
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(body); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", of.Resource, name, driver.ErrInvalid, err)
	}
	ref := cluster.RefOf(o)
	if !cluster.Has(g.content.all().Refs(), ref) {
		return nil, fmt.Errorf("%s: the chart did not make it when the server was asked what it would take: %w", ref, driver.ErrUnsupported)
	}
	objects := g.At(g.server, of)
	answer, err := g.again(r, ref.String(), func(ctx context.Context) (*http.Request, error) {
		found, err := objects.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			found, err = nil, nil
		}
		if err != nil {
			return nil, err
		}
		if err := g.change.Holds(ctx); err != nil {
			return nil, err
		}
		if err := g.Ours(found, g.known(ref)); err != nil {
			return nil, err
		}
		wanted := cluster.Wants(o, found)
		labels := wanted.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[cluster.LabelTarget], labels[cluster.LabelFence] = g.Target, g.stamp
		wanted.SetLabels(labels)
		wanted.SetResourceVersion(cluster.Nowhere)
		if found != nil {
			wanted.SetUID(found.GetUID())
			wanted.SetResourceVersion(found.GetResourceVersion())
		}
		return with(r, wanted.Object)
	})
	g.wroteTo(ref, err)
	return answer, err
}

// ownership reports whether a patch says only whose an object is: before a rollback, Helm makes its own by
// server-side apply what it takes for its own by other means, be it there or not.
func ownership(body []byte) bool {
	var steps []struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(body, &steps) != nil {
		return false
	}
	for _, step := range steps {
		if step.Path != "/metadata/managedFields" && step.Path != "/metadata/resourceVersion" {
			return false
		}
	}
	return len(steps) > 0
}

// asItIs answers with the object, and changes nothing: what is ours by other means are the marks of package
// cluster, which stay what they are.
func (g *gate) asItIs(r *http.Request) (*http.Response, error) {
	other := r.Clone(r.Context())
	other.Method, other.Body, other.GetBody, other.ContentLength = http.MethodGet, nil, nil, 0
	other.URL.RawQuery = ""
	other.Header.Del("Content-Type")
	return g.next.RoundTrip(other)
}

func (g *gate) wroteTo(ref cluster.Ref, err error) {
	g.mu.Lock()
	first := err == nil && !g.partly
	g.partly = g.partly || err == nil
	if err == nil {
		g.written = append(g.written, ref)
	}
	g.mu.Unlock()
	if first {
		g.at(PointPartly)
	}
}

// errTheirs is that an object has the name of one of ours and is none.
var errTheirs = fmt.Errorf("it was made by somebody else since: %w", driver.ErrConflict)

// remove deletes an object that is ours, as it is. What somebody else has made by its name is not there
// for Helm.
func (g *gate) remove(r *http.Request, of schema.GroupVersionResource, name string, body []byte) (*http.Response, error) {
	options := metav1.DeleteOptions{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &options); err != nil {
			return nil, fmt.Errorf("%s %s: %w: %w", of.Resource, name, driver.ErrInvalid, err)
		}
	}
	objects := g.At(g.server, of)
	answer, err := g.again(r, of.Resource+" "+name, func(ctx context.Context) (*http.Request, error) {
		found, err := objects.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			// The server says so; and if somebody makes one meanwhile, it is not the one that is meant.
			nobody := types.UID("none")
			options.Preconditions = &metav1.Preconditions{UID: &nobody}
			options.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}
			return with(r, options)
		}
		if err != nil {
			return nil, err
		}
		if err := g.change.Holds(ctx); err != nil {
			return nil, err
		}
		switch ours := g.Ours(found, false); {
		case g.revision(found) || ours == nil:
		case cluster.Has(g.content.hooks.Refs(), cluster.RefOf(found)):
			return nil, ours // Helm would wait until it is gone.
		default:
			return nil, errTheirs
		}
		uid, version := found.GetUID(), found.GetResourceVersion()
		options.Preconditions = &metav1.Preconditions{UID: &uid, ResourceVersion: &version}
		options.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"}
		return with(r, options)
	})
	if errors.Is(err, errTheirs) {
		return absent(r, of, name)
	}
	return answer, err
}

// absent is the answer to who asks for what is not there.
func absent(r *http.Request, of schema.GroupVersionResource, name string) (*http.Response, error) {
	said := apierrors.NewNotFound(of.GroupResource(), name).Status()
	said.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	text, err := json.Marshal(said)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: "404 Not Found", StatusCode: http.StatusNotFound, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)),
	}, nil
}
