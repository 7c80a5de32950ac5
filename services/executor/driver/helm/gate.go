package helm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

const (
	// history is how the names of the Secrets begin in which Helm keeps its releases.
	history = "sh.helm.release.v1."
	// labelEffect is what a revision of Helm was made for, annotationKey by which attempt.
	labelEffect   = "shipwarden.github.io/effect"
	annotationKey = "shipwarden.github.io/key"
	// maxBody is the most of a request or an answer that is looked at, in bytes.
	maxBody = 8 << 20
)

// gate stands between Helm and the server for the time of one call.
type gate struct {
	ctx  context.Context
	next http.RoundTripper
	*Driver
	server *cluster.Server
	// hidden are texts that no answer may bring to Helm, which writes them down.
	hidden []string
	// change is the call, nil where it only looks; stamp is its mark, effect what it is for, and known
	// says what a complete change before it has placed.
	change *cluster.Change
	stamp  string
	effect string
	known  func(cluster.Ref) bool
	// content is what the server was asked to take: nothing else is written.
	content content

	mu      sync.Mutex
	written []cluster.Ref
	fault   error
	partly  bool
	// theirs is what the server has refused because it is somebody else's.
	theirs *driver.ManualChange
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.ctx.Err(); err != nil {
		return nil, context.Cause(g.ctx)
	}
	ctx, cancel := context.WithCancel(r.Context())
	context.AfterFunc(g.ctx, cancel)
	r = r.WithContext(ctx)
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.URL.Query().Get("dryRun") != "" {
		answer, err := g.next.RoundTrip(r)
		return g.clean(answer), err
	}
	answer, err := g.write(r)
	if err != nil {
		g.mu.Lock()
		g.fault = errors.Join(g.fault, err)
		g.mu.Unlock()
		return nil, err
	}
	return g.clean(answer), nil
}

// failed is what the gate refused, if anything.
func (g *gate) failed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fault
}

// refusal says of the error of a call what is somebody else's, where it was that: Helm says it in words
// alone.
func (g *gate) refusal(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.theirs == nil || g.fault != nil {
		return err
	}
	return g.theirs
}

// wrote reports whether the call has written to an object.
func (g *gate) wrote(r cluster.Ref) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return cluster.Has(g.written, r)
}

func (g *gate) write(r *http.Request) (*http.Response, error) {
	if g.change == nil {
		return nil, fmt.Errorf("%s %s: Helm was asked to look, and would write: %w", r.Method, r.URL.Path, driver.ErrUnsupported)
	}
	of, name, err := g.locate(r.URL.Path)
	if err != nil {
		return nil, err
	}
	body, err := read(r.Body)
	if err != nil {
		return nil, err
	}
	stored := of.Group == "" && of.Resource == "secrets"
	switch {
	case r.Method == http.MethodPatch && strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch"):
		return g.apply(r, of, name, body)
	case r.Method == http.MethodPatch && name != "" && ownership(body):
		return g.asItIs(r)
	case r.Method == http.MethodDelete && name != "":
		return g.remove(r, of, name, body)
	case stored && r.Method == http.MethodPost, stored && r.Method == http.MethodPut:
		return g.store(r, of, body)
	}
	return nil, fmt.Errorf("%s %s: Helm has no business to do that: %w", r.Method, r.URL.Path, driver.ErrUnsupported)
}

// locate says what a path of the server leads to. What is not in the namespace is refused.
func (g *gate) locate(path string) (of schema.GroupVersionResource, name string, err error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		of.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		of.Group, of.Version, parts = parts[1], parts[2], parts[3:]
	}
	if len(parts) < 3 || len(parts) > 4 || parts[0] != "namespaces" || parts[1] != g.Name {
		return of, "", fmt.Errorf("%s lies outside of namespace %s: %w", path, g.Name, driver.ErrUnsupported)
	}
	if of.Resource = parts[2]; len(parts) == 4 {
		name = parts[3]
	}
	return of, name, nil
}

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

// again makes a request until it has an answer that speaks of the object as it is.
func (g *gate) again(r *http.Request, what string, make func(ctx context.Context) (*http.Request, error)) (*http.Response, error) {
	var answer *http.Response
	err := cluster.Again(g.ctx, func() (bool, error) {
		request, err := make(r.Context())
		if err != nil {
			return false, err
		}
		if answer, err = g.next.RoundTrip(request); err != nil { //nolint:bodyclose // whoever asked closes it
			return false, err
		}
		switch code := answer.StatusCode; {
		case code == http.StatusConflict:
			text, err := read(answer.Body)
			if err != nil {
				return false, err
			}
			answer.Body = io.NopCloser(bytes.NewReader(text))
			var said metav1.Status
			_ = json.Unmarshal(text, &said)
			theirs := cluster.Foreign(cluster.Ref{}, &apierrors.StatusError{ErrStatus: said})
			if theirs != nil {
				theirs.Object = what
				g.mu.Lock()
				g.theirs = theirs
				g.mu.Unlock()
			}
			return said.Reason != metav1.StatusReasonConflict || theirs != nil, nil
		case code == http.StatusTooManyRequests || code >= http.StatusInternalServerError:
			_ = answer.Body.Close()
			return false, fmt.Errorf("the server answers with status %d", code)
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return answer, nil
}

// clean takes the secrets out of a refusal.
func (g *gate) clean(answer *http.Response) *http.Response {
	if answer == nil || answer.StatusCode < http.StatusBadRequest || len(g.hidden) == 0 {
		return answer
	}
	text, err := read(answer.Body)
	if err != nil {
		text = nil
	}
	text = []byte(scrub(string(text), g.hidden))
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return answer
}

// with is the request with another body.
func with(r *http.Request, content any) (*http.Request, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	other := r.Clone(r.Context())
	other.Body, other.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	other.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
	if other.Header.Get("Content-Type") == "" || r.Method == http.MethodDelete {
		other.Header.Set("Content-Type", "application/json")
	}
	return other, nil
}

// put is the request that replaces what another one would create.
func put(r *http.Request, o *unstructured.Unstructured) (*http.Request, error) {
	other, err := with(r, o.Object)
	if err != nil {
		return nil, err
	}
	other.Method = http.MethodPut
	other.URL.Path += "/" + o.GetName()
	return other, nil
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

func read(body io.ReadCloser) ([]byte, error) {
	if body == nil {
		return nil, nil
	}
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if len(text) > maxBody {
		return nil, fmt.Errorf("more than %d bytes: %w", maxBody, driver.ErrUnsupported)
	}
	return text, err
}

// effectOf is a label by which a revision that is deployed is known to be that of an effect.
func effectOf(key driver.Key, digest, part string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(key.Effect()+" "+digest+" "+part)))[:32]
}
