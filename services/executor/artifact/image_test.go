package artifact_test

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

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
)

// registryWith starts a registry that has one image and one index, and lets a test
// spoil its answers.
func registryWith(t *testing.T, spoil func(w http.ResponseWriter, r *http.Request) bool) (host, image, index string) {
	t.Helper()
	inner := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)))
	spoiling := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !spoiling || spoil == nil || !spoil(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	repository, err := name.NewRepository(host+"/shop/web", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := random.Image(1024, 2)
	if err != nil {
		t.Fatal(err)
	}
	idx, err := random.Index(512, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	imageDigest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	indexDigest, err := idx.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(remote.Write(repository.Tag("1.0.0"), img), remote.WriteIndex(repository.Tag("all"), idx)); err != nil {
		t.Fatal(err)
	}
	spoiling = true
	return host, imageDigest.String(), indexDigest.String()
}

func imageAt(location, digest string) *releasev1.Artifact {
	return &releasev1.Artifact{
		Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Location: location, Digest: digest,
	}
}

func reach(t *testing.T, r *configv1.Registry) *artifact.Fetcher {
	t.Helper()
	f, err := artifact.NewFetcher("", []*configv1.Registry{r})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestImagesAndIndexesAreFoundByDigest(t *testing.T) {
	host, image, index := registryWith(t, nil)
	f := reach(t, &configv1.Registry{Host: host, Insecure: true})
	for _, digest := range []string{image, index} {
		a, err := f.Fetch(t.Context(), imageAt(host+"/shop/web", digest))
		if err != nil {
			t.Fatal(err)
		}
		reader, err := a.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := io.ReadAll(reader)
		if err != nil || digestOf(manifest) != digest || a.MediaType == "" {
			t.Errorf("manifest %s of type %q, %v", digestOf(manifest), a.MediaType, err)
		}
	}
}

func TestImagesThatAreRefused(t *testing.T) {
	host, image, _ := registryWith(t, nil)
	f := reach(t, &configv1.Registry{Host: host, Insecure: true})
	for _, test := range []struct {
		name string
		a    *releasev1.Artifact
		want error
	}{
		{"digest that is not there", imageAt(host+"/shop/web", digestOf(nil)), artifact.ErrNotFound},
		{"repository that is not there", imageAt(host+"/shop/none", image), artifact.ErrNotFound},
		{"registry that is not configured", imageAt("169.254.169.254/shop/web", image), artifact.ErrRefused},
		{"registry by default", imageAt("library/nginx", image), artifact.ErrRefused},
		{"tag that is none", imageAt(host+"/shop/web:", image), artifact.ErrRefused},
		{"no repository", imageAt(host, image), artifact.ErrRefused},
		{"path upwards", imageAt(host+"/../web", image), artifact.ErrRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := f.Fetch(t.Context(), test.a); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestRegistryThatMisbehaves(t *testing.T) {
	manifests := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }
	blobs := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }
	for _, test := range []struct {
		name  string
		spoil func(w http.ResponseWriter, r *http.Request) bool
		want  error
	}{
		{"another manifest under the digest", func(w http.ResponseWriter, r *http.Request) bool {
			if manifests(r) {
				w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
				io.WriteString(w, `{"schemaVersion":2}`)
			}
			return manifests(r)
		}, artifact.ErrDigest},
		{"another configuration under the digest", func(w http.ResponseWriter, r *http.Request) bool {
			spoil := blobs(r) && r.Method == http.MethodGet
			if spoil {
				io.WriteString(w, `{}`)
			}
			return spoil
		}, artifact.ErrDigest},
		{"layers gone", func(w http.ResponseWriter, r *http.Request) bool {
			spoil := blobs(r) && r.Method == http.MethodHead
			if spoil {
				w.WriteHeader(http.StatusNotFound)
			}
			return spoil
		}, artifact.ErrNotFound},
		{"forbidden", func(w http.ResponseWriter, r *http.Request) bool {
			if manifests(r) {
				w.WriteHeader(http.StatusForbidden)
			}
			return manifests(r)
		}, artifact.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			host, image, _ := registryWith(t, test.spoil)
			f := reach(t, &configv1.Registry{Host: host, Insecure: true})
			if _, err := f.Fetch(t.Context(), imageAt(host+"/shop/web", image)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestRegistryPasswordComesFromItsFile(t *testing.T) {
	host, image, _ := registryWith(t, func(w http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		if user == "puller" && password == "from the file" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	file := filepath.Join(t.TempDir(), "password")
	r := &configv1.Registry{Host: host, Insecure: true, User: "puller", PasswordFile: file}
	if _, err := reach(t, r).Fetch(t.Context(), imageAt(host+"/shop/web", image)); !errors.Is(err, artifact.ErrUnavailable) {
		t.Errorf("without the file: %v", err)
	}
	if err := os.WriteFile(file, []byte("from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reach(t, r).Fetch(t.Context(), imageAt(host+"/shop/web", image)); err != nil {
		t.Errorf("with the file: %v", err)
	}
}

func TestRegistriesConfiguredTwiceAreNamed(t *testing.T) {
	_, err := artifact.NewFetcher("", []*configv1.Registry{{Host: "a.example"}, {Host: "a.example"}})
	if err == nil || !strings.HasPrefix(err.Error(), "registries[1].host: ") {
		t.Errorf("got %v", err)
	}
}
