package helm

import (
	"bytes"
	"context"
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
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
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
