package kube

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// requestTime bounds one request; the look that it is a part of bounds it as well.
const requestTime = 30 * time.Second

// Cluster is one that may be looked at. It is safe for concurrent use.
type Cluster struct {
	name, kubeconfig string

	mu    sync.Mutex
	known *access
	seen  [32]byte
}

// access is a server, and who we are there.
type access struct {
	server string
	client dynamic.Interface
	kinds  *discovery.DiscoveryClient
}

// Open reads which clusters are configured, by their names, and whether their kubeconfigs can be
// used. It reaches nobody. The error names every field at fault, and nothing of what is in a
// kubeconfig.
func Open(configured []*configv1.KubernetesCluster) (map[string]*Cluster, error) {
	out := map[string]*Cluster{}
	var wrong []error
	for i, c := range configured {
		field := fmt.Sprintf("kubernetes_clusters[%d]", i)
		if out[c.GetName()] != nil {
			wrong = append(wrong, fmt.Errorf("%s.name: %s is there already", field, c.GetName()))
			continue
		}
		cluster := &Cluster{name: c.GetName(), kubeconfig: c.GetKubeconfigFile()}
		if !filepath.IsAbs(cluster.kubeconfig) {
			wrong = append(wrong, fmt.Errorf("%s.kubeconfig_file: must be an absolute path", field))
		} else if _, err := cluster.open(); err != nil {
			wrong = append(wrong, fmt.Errorf("%s.%w", field, err))
		}
		out[c.GetName()] = cluster
	}
	return out, errors.Join(wrong...)
}

// Server is the address of the API server by the kubeconfig as it is now; "" where it cannot be
// read.
func (c *Cluster) Server() string {
	a, err := c.open()
	if err != nil {
		return ""
	}
	return a.server
}

// open reads the kubeconfig anew each time, so that one that was replaced counts from then on.
func (c *Cluster) open() (*access, error) {
	text, err := os.ReadFile(c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig_file: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum := sha256.Sum256(text); c.known == nil || sum != c.seen {
		known, err := connect(text, c.kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("kubeconfig_file: %w", err)
		}
		c.known, c.seen = known, sum
	}
	return c.known, nil
}

func connect(text []byte, path string) (*access, error) {
	config, err := read(text, path)
	if err != nil {
		return nil, err
	}
	config.UserAgent, config.Timeout, config.QPS, config.Burst = "shipwarden-validator", requestTime, 50, 100
	config.WarningHandler = rest.NoWarnings{}
	config.Wrap(func(through http.RoundTripper) http.RoundTripper { return bounded{through} })
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, errors.New("cannot be used")
	}
	// The credential would go along to wherever a server leads.
	web.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("the server leads elsewhere") }
	client, err := dynamic.NewForConfigAndClient(config, web)
	if err != nil {
		return nil, errors.New("cannot be used")
	}
	kinds, err := discovery.NewDiscoveryClientForConfigAndClient(config, web)
	if err != nil {
		return nil, errors.New("cannot be used")
	}
	return &access{server: config.Host, client: client, kinds: kinds}, nil
}

// read is how to reach a server as a kubeconfig says it, whose relative paths are from where it
// lies. One that has a program run to get a credential is refused: the validator runs nothing. The
// error says nothing of what is in it.
func read(text []byte, path string) (*rest.Config, error) {
	parsed, err := clientcmd.Load(text)
	if err != nil {
		return nil, errors.New("is not a kubeconfig") // The error of the parser quotes what it read.
	}
	if parsed.Contexts[parsed.CurrentContext] == nil {
		return nil, errors.New("has no current context")
	}
	for _, cluster := range parsed.Clusters {
		cluster.LocationOfOrigin = path
		if cluster.InsecureSkipTLSVerify || !strings.HasPrefix(cluster.Server, "https://") {
			return nil, errors.New("does not have the server show who it is: it needs https:// and the certificate of its authority")
		}
	}
	for _, cluster := range parsed.Clusters {
		// The address is in the evidence.
		if at, err := url.Parse(cluster.Server); err != nil || at.User != nil || at.RawQuery != "" {
			return nil, errors.New("has somebody's name or password in the address of the server, or none that is one")
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
		return nil, errors.New("is not complete, or names files that are not there")
	}
	return config, nil
}
