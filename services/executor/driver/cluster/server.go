package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// requestTime bounds one request.
	requestTime = 30 * time.Second
	// patience is how long a request is repeated that has no answer, or one that passes.
	patience = time.Minute
	// LookTime bounds a question that changes nothing: whoever asks it asks again.
	LookTime = 30 * time.Second
)

// Server is a server, and who we are there.
type Server struct {
	// Address is its URL.
	Address string
	config  *rest.Config
	client  dynamic.Interface
	mapper  meta.ResettableRESTMapper
	// kinds are asked of the server each time.
	kinds discovery.DiscoveryInterface
}

// Open reads the kubeconfig, anew each time, so that one that was replaced counts from then
// on. It reaches nobody.
func (n *Namespace) Open() (*Server, error) {
	text, err := os.ReadFile(n.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig_file: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if sum := sha256.Sum256(text); n.known == nil || sum != n.seen {
		known, err := connect(text, n.kubeconfig, n.wrap)
		if err != nil {
			return nil, fmt.Errorf("kubeconfig_file: %w", err)
		}
		n.known, n.seen = known, sum
	}
	return n.known, nil
}

func connect(text []byte, path string, wrap func(http.RoundTripper) http.RoundTripper) (*Server, error) {
	config, err := access(text, path)
	if err != nil {
		return nil, err
	}
	config.UserAgent, config.Timeout, config.QPS, config.Burst = Manager, requestTime, 50, 100
	config.WarningHandler = rest.NoWarnings{}
	if wrap != nil {
		config.Wrap(wrap)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Server{
		Address: config.Host, config: config, client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kinds)),
		kinds: kinds,
	}, nil
}

// CheckKubeconfig says what is wrong with a kubeconfig, without reaching anybody.
func CheckKubeconfig(path string) error {
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = access(text, path)
	}
	return err
}

// access is how to reach a server as a kubeconfig says it, whose relative paths are from
// where it lies. One that has a program run to get a credential is refused: the executor runs
// nothing that its configuration does not name. The error says nothing of what is in it.
func access(text []byte, path string) (*rest.Config, error) {
	parsed, err := clientcmd.Load(text)
	if err != nil {
		return nil, errors.New("is not a kubeconfig") // The error of the parser quotes what it read.
	}
	current := parsed.Contexts[parsed.CurrentContext]
	if current == nil {
		return nil, errors.New("has no current context")
	}
	for _, cluster := range parsed.Clusters {
		cluster.LocationOfOrigin = path
		if cluster.InsecureSkipTLSVerify || !strings.HasPrefix(cluster.Server, "https://") {
			return nil, errors.New("does not have the server show who it is: it needs https:// and the certificate of its authority")
		}
	}
	for _, user := range parsed.AuthInfos {
		user.LocationOfOrigin = path
		if user.Exec != nil || user.AuthProvider != nil {
			return nil, errors.New("has a program run, or a plugin, to get a credential: give it a token file or a certificate")
		}
	}
	if err := clientcmd.ResolveLocalPaths(parsed); err != nil {
		return nil, errors.New("names files that cannot be found")
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*parsed, parsed.CurrentContext, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("context %s is not complete, or names files that are not there", filepath.Base(parsed.CurrentContext))
	}
	return config, nil
}

// resource is where the server has the objects of a kind.
func (n *Namespace) resource(c *Server, group, version, kind string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind}, version)
	if meta.IsNoMatchError(err) {
		// Perhaps it has been there since.
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind}, version)
	}
	switch {
	case meta.IsNoMatchError(err):
		return nil, noKind(group, version, kind)
	case err != nil:
		return nil, err
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return nil, fmt.Errorf("a %s lies in no namespace: %w", kind, driver.ErrUnsupported)
	}
	return c.client.Resource(mapping.Resource).Namespace(n.Name), nil
}

// errNoKind says that the server has no such kind, or not that version of it.
var errNoKind = errors.New("the server has no kind")

func noKind(group, version, kind string) error {
	return fmt.Errorf("%w %s of %s: %w", errNoKind, kind, schema.GroupVersion{Group: group, Version: version}, driver.ErrUnsupported)
}

// version is the one in which the server has a kind now; "" where it does not have it. That it
// cannot tell of each group is an error.
func (c *Server) version(group, kind string) (string, error) {
	lists, err := c.kinds.ServerPreferredResources()
	if err != nil {
		return "", err
	}
	for _, list := range lists {
		of, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return "", err
		}
		for _, one := range list.APIResources {
			if of.Group == group && one.Kind == kind {
				return of.Version, nil
			}
		}
	}
	return "", nil
}

// Passes reports whether an error may be gone when it is tried again: there was no answer, or
// one that speaks of now.
func Passes(err error) bool {
	if errors.As(err, new(final)) {
		return false
	}
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		code := status.Status().Code
		return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
	}
	return !errors.Is(err, driver.ErrUnsupported) && !errors.Is(err, driver.ErrConflict) && !errors.Is(err, driver.ErrStaleFence) &&
		!errors.Is(err, driver.ErrInvalid) && !errors.Is(err, driver.ErrNoWayBack)
}

// Again makes a call until it says that it is through or fails for good. What has no answer
// is repeated for a minute: the call must find out by itself what became of it.
func Again(ctx context.Context, call func() (through bool, err error)) error {
	pause := 20 * time.Millisecond
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		through, err := call()
		if through && err == nil {
			return nil
		}
		if err != nil && !Passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			if err == nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-timer.C:
			if err == nil {
				err = errors.New("somebody else writes all the time")
			}
			return err
		case <-time.After(pause):
			pause = min(2*pause, time.Second)
		}
	}
}

// Moved reports whether an object is not as it was read, and not that a field is
// somebody else's.
func Moved(err error) bool { return apierrors.IsConflict(err) && Foreign(Ref{}, err) == nil }

// Foreign names the field of an object that is somebody else's; nil where an error says no such
// thing.
func Foreign(r Ref, err error) *driver.ManualChange {
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var theirs *driver.ManualChange
	more := 0
	for _, cause := range status.Status().Details.Causes {
		switch {
		case cause.Type != metav1.CauseTypeFieldManagerConflict:
		case theirs == nil:
			theirs = &driver.ManualChange{Object: r.String(), Field: cause.Field, Manager: owner(cause.Message)}
		default:
			more++
		}
	}
	if more > 0 {
		theirs.Field += fmt.Sprintf(" and %d more", more)
	}
	return theirs
}

// conflictWith is what a server says of a field that is somebody else's.
var conflictWith = regexp.MustCompile(`^conflict with "((?:[^"\\]|\\.)*)"`)

// owner is who a field belongs to, of what the server says of it.
func owner(message string) string {
	if found := conflictWith.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return message
}

// Rest is how the server is reached, for a client of somebody's own: a copy.
func (c *Server) Rest() *rest.Config { return rest.CopyConfig(c.config) }

// Mapper knows the kinds of the server, as they were when they were asked for.
func (c *Server) Mapper() meta.RESTMapper { return c.mapper }

// Kinds asks the server what it serves, and remembers it until it is told to forget it.
func (c *Server) Kinds() discovery.CachedDiscoveryInterface { return memory.NewMemCacheClient(c.kinds) }

// At is where a resource of the namespace is.
func (n *Namespace) At(c *Server, of schema.GroupVersionResource) dynamic.ResourceInterface {
	return c.client.Resource(of).Namespace(n.Name)
}

// In is where a resource of another namespace is.
func (c *Server) In(namespace string, of schema.GroupVersionResource) dynamic.ResourceInterface {
	return c.client.Resource(of).Namespace(namespace)
}
