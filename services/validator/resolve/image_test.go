package resolve_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"google.golang.org/protobuf/testing/protocmp"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve"
)

func TestPinImage(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	image, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(512, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	push(t, host+"/shop/web:1.4.2", func(r name.Reference) error { return remote.Write(r, image) })
	push(t, host+"/shop/web:1.4.3", func(r name.Reference) error { return remote.Write(r, newer) })
	push(t, host+"/shop/all:1.4.2", func(r name.Reference) error { return remote.WriteIndex(r, index) })
	nobody := "sha256:" + strings.Repeat("0", 64)

	tests := []struct {
		name, location, digest string
		size                   func() (int64, error)
		want                   error
	}{
		{"an image by digest", host + "/shop/web", digest(t, image), image.Size, nil},
		{"an index by digest", host + "/shop/all", digest(t, index), index.Size, nil},
		{"a tag that leads to the digest", host + "/shop/web:1.4.2", digest(t, image), image.Size, nil},
		{"a tag that was moved", host + "/shop/web:1.4.3", digest(t, image), nil, resolve.ErrDigest},
		{"a tag that does not exist", host + "/shop/web:1.4.4", digest(t, image), nil, resolve.ErrMissing},
		{"a digest that does not exist", host + "/shop/web", nobody, nil, resolve.ErrMissing},
		{"a repository that does not exist", host + "/shop/nothing", digest(t, image), nil, resolve.ErrMissing},
		{"a registry that is not configured", "registry.example/shop/web", digest(t, image), nil, resolve.ErrLocation},
		{"the metadata service", "169.254.169.254/shop/web", digest(t, image), nil, resolve.ErrLocation},
		{"the registry under another name", strings.Replace(host, "127.0.0.1", "localhost", 1) + "/shop/web", digest(t, image), nil, resolve.ErrLocation},
		{"no registry", "web", digest(t, image), nil, resolve.ErrLocation},
		{"no registry, as people write it", "shop/web", digest(t, image), nil, resolve.ErrLocation},
		{"no repository", host + "/", digest(t, image), nil, resolve.ErrLocation},
		{"a repository with a way up", host + "/shop/../web", digest(t, image), nil, resolve.ErrLocation},
		{"a repository in upper case", host + "/Shop/web", digest(t, image), nil, resolve.ErrLocation},
		{"an empty tag", host + "/shop/web:", digest(t, image), nil, resolve.ErrLocation},
		{"two tags", host + "/shop/web:1:2", digest(t, image), nil, resolve.ErrLocation},
	}
	r := resolver(t, resolve.Config{Registries: []*configv1.Registry{{Host: host, Insecure: true}}})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := artifact(tt.location, tt.digest)
			got, err := r.Pin(t.Context(), a)
			if tt.want != nil {
				if !errors.Is(err, tt.want) || !resolve.Permanent(err) || got != nil {
					t.Errorf("Pin = %v, %v, want %v", got, err, tt.want)
				}
				return
			}
			size, _ := tt.size()
			want := &releasev1.PinnedArtifact{Name: "web", Kind: a.GetKind(), Location: tt.location, Digest: tt.digest, Size: size}
			if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.IgnoreFields(want, "media_type", "tag", "tag_resolved", "platforms")); err != nil || diff != "" {
				t.Errorf("Pin: %v\n%s", err, diff)
			}
			if !strings.Contains(got.GetMediaType(), "manifest") && !strings.Contains(got.GetMediaType(), "index") {
				t.Errorf("media type %q", got.GetMediaType())
			}
		})
	}
}

// TestRegistriesThatMisbehave has servers that answer otherwise than a registry does.
func TestRegistriesThatMisbehave(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a server without an entry was asked for %s", r.URL)
	}))
	defer elsewhere.Close()
	tests := []struct {
		name      string
		manifests http.HandlerFunc
		want      error
	}{
		{"a manifest with another digest", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			io.WriteString(w, `{"schemaVersion":2}`)
		}, resolve.ErrDigest},
		{"a document that is no image", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, content)
		}, resolve.ErrLocation},
		{"not allowed", status(http.StatusForbidden), resolve.ErrUnreachable},
		{"not authenticated", status(http.StatusUnauthorized), resolve.ErrUnreachable},
		{"too many requests", status(http.StatusTooManyRequests), resolve.ErrUnreachable},
		{"a fault", status(http.StatusInternalServerError), resolve.ErrUnreachable},
		{"not there", status(http.StatusNotFound), resolve.ErrMissing},
		{"a redirect elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/", http.StatusTemporaryRedirect)
		}, resolve.ErrUnreachable},
		{"a redirect to the metadata service", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest/", http.StatusTemporaryRedirect)
		}, resolve.ErrUnreachable},
		{"an answer without an end", func(w http.ResponseWriter, r *http.Request) {
			block := make([]byte, 64<<10)
			for r.Context().Err() == nil {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, resolve.ErrUnreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/v2/", status(http.StatusOK))
			mux.HandleFunc("/v2/shop/web/manifests/", tt.manifests)
			server := httptest.NewServer(mux)
			defer server.Close()
			host := strings.TrimPrefix(server.URL, "http://")
			r := resolver(t, resolve.Config{Registries: []*configv1.Registry{{Host: host, Insecure: true}}})
			_, err := r.Pin(t.Context(), artifact(host+"/shop/web", digestOf(content)))
			if !errors.Is(err, tt.want) || resolve.Permanent(err) == errors.Is(tt.want, resolve.ErrUnreachable) {
				t.Errorf("Pin = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestTokensComeFromConfiguredServers has a registry that sends us elsewhere with our
// password.
func TestTokensComeFromConfiguredServers(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the password was sent elsewhere: %v", r.Header["Authorization"])
	}))
	defer thief.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+thief.URL+`/token",service="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	r := resolver(t, resolve.Config{Registries: []*configv1.Registry{
		{Host: host, Insecure: true, User: "validator", PasswordFile: password(t, "s3cret")},
	}})
	_, err := r.Pin(t.Context(), artifact(host+"/shop/web", digestOf(content)))
	if !errors.Is(err, resolve.ErrUnreachable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Pin = %v, want %v", err, resolve.ErrUnreachable)
	}
}

func TestCredentials(t *testing.T) {
	inner := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)))
	open := httptest.NewServer(inner)
	defer open.Close()
	image, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	push(t, strings.TrimPrefix(open.URL, "http://")+"/shop/web:1.4.2", func(r name.Reference) error { return remote.Write(r, image) })
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, secret, _ := r.BasicAuth(); user != "validator" || secret != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	defer guarded.Close()
	host := strings.TrimPrefix(guarded.URL, "http://")
	tests := []struct {
		name  string
		entry *configv1.Registry
		want  error
	}{
		{"the right password", &configv1.Registry{User: "validator", PasswordFile: password(t, "s3cret\n")}, nil},
		{"the wrong password", &configv1.Registry{User: "validator", PasswordFile: password(t, "guess")}, resolve.ErrUnreachable},
		{"no password", &configv1.Registry{User: "validator"}, resolve.ErrUnreachable},
		{"a password file that is not there", &configv1.Registry{User: "validator", PasswordFile: filepath.Join(t.TempDir(), "none")}, resolve.ErrUnreachable},
		{"nobody", &configv1.Registry{}, resolve.ErrUnreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.entry.Host, tt.entry.Insecure = host, true
			r := resolver(t, resolve.Config{Registries: []*configv1.Registry{tt.entry}})
			_, err := r.Pin(t.Context(), artifact(host+"/shop/web", digest(t, image)))
			if !errors.Is(err, tt.want) || (tt.want == nil && err != nil) {
				t.Errorf("Pin = %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "guess") {
				t.Errorf("the error gives the password away: %v", err)
			}
		})
	}
}

// TestPlainHTTPOnlyWhereConfigured asks a registry on loopback, for which the client
// library would use plain HTTP by itself.
func TestPlainHTTPOnlyWhereConfigured(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked in the open for %s", r.URL)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	r := resolver(t, resolve.Config{Registries: []*configv1.Registry{{Host: host}}})
	if _, err := r.Pin(t.Context(), artifact(host+"/shop/web", digestOf(content))); !errors.Is(err, resolve.ErrUnreachable) {
		t.Errorf("Pin = %v, want %v", err, resolve.ErrUnreachable)
	}
	server.Close()
	insecure := resolver(t, resolve.Config{Registries: []*configv1.Registry{{Host: host, Insecure: true}}})
	if _, err := insecure.Pin(t.Context(), artifact(host+"/shop/web", digestOf(content))); !errors.Is(err, resolve.ErrUnreachable) {
		t.Errorf("of a registry that is down: %v, want %v", err, resolve.ErrUnreachable)
	}
}

func TestRegistriesAreChecked(t *testing.T) {
	for name, entries := range map[string][]*configv1.Registry{
		"no host":              {{}},
		"the metadata service": {{Host: "169.254.169.254"}},
		"a URL":                {{Host: "https://registry.example"}},
		"twice":                {{Host: "registry.example"}, {Host: "registry.example"}},
	} {
		if _, err := resolve.New(resolve.Config{Registries: entries}); !errors.Is(err, resolve.ErrConfig) {
			t.Errorf("%s: New = %v, want %v", name, err, resolve.ErrConfig)
		}
	}
	good := []*configv1.Registry{{Host: "registry.example"}, {Host: "registry.example:5000"}, {Host: "10.0.0.1", Insecure: true}, {Host: "[2001:db8::1]:5000"}}
	if _, err := resolve.New(resolve.Config{Registries: good}); err != nil {
		t.Errorf("New: %v", err)
	}
}

func artifact(location, digest string) *releasev1.Artifact {
	return &releasev1.Artifact{
		Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Location: location, Digest: digest,
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func password(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func push(t *testing.T, location string, write func(name.Reference) error) {
	t.Helper()
	ref, err := name.ParseReference(location, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(ref); err != nil {
		t.Fatal(err)
	}
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}
