package helm

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

// getter is how Helm reaches the server: through the gate.
type getter struct {
	config    *rest.Config
	server    *cluster.Server
	namespace string
}

// ToRESTConfig implements Helm's RESTClientGetter, as do the others.
func (g getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

// ToDiscoveryClient asks the server anew.
func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.server.Kinds(), nil
}

// ToRESTMapper is that of the server.
func (g getter) ToRESTMapper() (meta.RESTMapper, error) { return g.server.Mapper(), nil }

// ToRawKubeConfigLoader says which namespace is meant where nobody says it.
func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(clientcmdapi.Config{}, &clientcmd.ConfigOverrides{
		Context: clientcmdapi.Context{Namespace: g.namespace},
	})
}

// config leads to the server through the gate.
func (g *gate) config() *rest.Config {
	config := g.server.Rest()
	// A watch goes on for as long as it is needed; the gate ends it with the call.
	config.Timeout = 0
	// What the gate reads is JSON.
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		g.next = next
		return g
	})
	return config
}

// through makes Helm's configuration for one call, whose requests go through a gate.
func (d *Driver) through(ctx context.Context, g *gate) (*action.Configuration, error) {
	g.ctx, g.Driver = ctx, d
	config := g.config()
	helm := action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := helm.Init(getter{config: config, server: g.server, namespace: d.Name}, d.Name, "secret"); err != nil {
		return nil, fmt.Errorf("prepare Helm: %w", err)
	}
	return helm, nil
}

// capabilities is what the server is able to do, as Helm asks for it.
func capabilities(s *cluster.Server) (apart.Capabilities, error) {
	kinds := s.Kinds()
	version, err := kinds.ServerVersion()
	if err != nil {
		return apart.Capabilities{}, fmt.Errorf("ask the server for its version: %w", err)
	}
	// An API that is announced and that nobody serves is one that a chart does without.
	all, err := action.GetVersionSet(kinds)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return apart.Capabilities{}, fmt.Errorf("ask the server for its kinds: %w", err)
	}
	return apart.Capabilities{Version: version.GitVersion, Major: version.Major, Minor: version.Minor, APIVersions: all}, nil
}

// asker asks the server what a chart wants to know, through the gate.
type asker struct {
	client *http.Client
	base   *url.URL
	// namespace is that of the release, secrets the names of those in it that charts may look up.
	namespace string
	secrets   []string
	// told are the secrets that the chart has been told, denied why it was not told others.
	told   []string
	denied error
}

func (d *Driver) asker(g *gate) (*asker, error) {
	config := g.config()
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	return &asker{client: client, base: base, namespace: d.Name, secrets: d.lookups}, err
}

// Get implements apart.Server.
func (a *asker) Get(ctx context.Context, uri, accept string) (apart.Reply, error) {
	what, err := url.ParseRequestURI(uri)
	if err != nil || what.Host != "" {
		return apart.Reply{}, fmt.Errorf("%q is no question to the server: %w", uri, driver.ErrInvalid)
	}
	to := *a.base
	to.Path, to.RawPath = path.Join("/", a.base.Path, what.Path), ""
	to.RawQuery = what.RawQuery
	if name, is := secretAt(what.Path, a.namespace); is && !slices.Contains(a.secrets, name) {
		a.denied = fmt.Errorf("chart: it looks up Secret %s, which lookup_secrets of the target does not name: %w", name, driver.ErrUnsupported)
		return apart.Reply{}, a.denied
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
	if err != nil {
		return apart.Reply{}, err
	}
	r.Header.Set("Accept", accept)
	answer, err := a.client.Do(r) //nolint:bodyclose // read closes it.
	if err != nil {
		return apart.Reply{}, err
	}
	text, err := read(answer.Body)
	if err == nil {
		a.told = append(a.told, secretsIn(text)...)
	}
	if len(a.told) > maxTold {
		return apart.Reply{}, fmt.Errorf("the chart asks for more than %d values of Secrets: %w", maxTold, driver.ErrUnsupported)
	}
	return apart.Reply{Status: answer.StatusCode, Type: answer.Header.Get("Content-Type"), Body: text}, err
}

// secretAt says which Secret of a namespace is asked for by a path of the server: "*" where that is a
// list of them, and with the namespace before it where that is another one.
func secretAt(asked, namespace string) (name string, is bool) {
	rest, core := strings.CutPrefix(path.Clean("/"+asked), "/api/v1/")
	if !core {
		return "", false
	}
	in := "*"
	parts := strings.Split(strings.TrimPrefix(rest, "watch/"), "/")
	if parts[0] == "namespaces" && len(parts) > 2 {
		in, parts = parts[1], parts[2:]
	}
	if parts[0] != "secrets" {
		return "", false
	}
	if name = cmp.Or(strings.Join(parts[1:], "/"), "*"); in != namespace {
		name = in + "/" + name
	}
	return name, true
}

const (
	// maxTold is how many values of Secrets a chart may be told, for all of them are looked for in what
	// it makes.
	maxTold = 2000
	// A value of more than longTold bytes is known by the first firstTold of them: a multiple of three, so
	// that in base64 it begins so as well.
	longTold, firstTold = 4 << 10, 255
)

// secretsIn are the values of an answer of the server that is a Secret, or a list of them, by which they
// are known in what a chart makes of them.
func secretsIn(answer []byte) (all []string) {
	type secret struct {
		Data map[string][]byte `json:"data"`
	}
	var said struct {
		Kind string `json:"kind"`
		secret
		Items []secret `json:"items"`
	}
	// A ConfigMap has something else there.
	if err := json.Unmarshal(answer, &said); err != nil || said.Kind != "Secret" && said.Kind != "SecretList" {
		return nil
	}
	for _, s := range append(said.Items, said.secret) {
		for _, value := range s.Data {
			if len(value) > longTold {
				value = value[:firstTold]
			}
			for _, text := range slices.Compact([]string{string(value), strings.TrimSpace(string(value))}) {
				if len(text) >= minSecret {
					all = append(all, text)
				}
			}
		}
	}
	return all
}

// revision is one of Helm's history, as its Secret says without being unpacked.
type revision struct {
	number int
	status string
	labels map[string]string
	// key is that of the attempt that made it; "" where somebody else did, or has written to it since:
	// whichever Helm does so hands on the labels, and not this.
	key string
}

func (r revision) pending() bool {
	return slices.Contains([]string{"pending-install", "pending-upgrade", "pending-rollback"}, r.status)
}

// revisions are those of the release, the oldest first: Helm has them in no order. One that this target
// did not make is somebody else's release, an error that wraps driver.ErrConflict.
func (d *Driver) revisions(ctx context.Context, s *cluster.Server) ([]revision, error) {
	var all []revision
	err := cluster.Again(ctx, func() (bool, error) {
		found, err := d.At(s, schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).List(ctx, metav1.ListOptions{
			LabelSelector: "owner=helm,name=" + d.release,
		})
		if err != nil {
			return false, err
		}
		all = all[:0]
		for _, o := range found.Items {
			labels := o.GetLabels()
			number, err := strconv.Atoi(labels["version"])
			if err != nil {
				return false, fmt.Errorf("revision %s: its version %q is no number: %w", o.GetName(), labels["version"], driver.ErrConflict)
			}
			if labels[cluster.LabelTarget] != d.Target {
				return false, fmt.Errorf("%w: release %s is there already, and its revision %d was not made by this target", driver.ErrConflict, d.release, number)
			}
			all = append(all, revision{number: number, status: labels["status"], labels: labels, key: o.GetAnnotations()[annotationKey]})
		}
		return true, nil
	})
	slices.SortFunc(all, func(a, b revision) int { return a.number - b.number })
	return all, err
}

// of is what Helm has of a revision.
func of(helm *action.Configuration, name string, number int) (*release.Release, error) {
	found, err := helm.Releases.Get(name, number)
	if err != nil {
		return nil, err
	}
	r, ok := found.(*release.Release)
	if !ok {
		return nil, fmt.Errorf("revision %d is of a kind that is not known: %w", number, driver.ErrUnsupported)
	}
	return r, nil
}
