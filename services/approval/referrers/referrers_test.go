package referrers_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/referrers/referrerstest"
)

const (
	dsse   = "application/vnd.dsse.envelope.v1+json"
	bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// serve starts a registry, with or without the referrers API, in front of which a
// handler may stand.
func serve(t *testing.T, api bool, before func(http.ResponseWriter, *http.Request) bool) (host string) {
	t.Helper()
	next := registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)), registry.WithReferrersSupport(api))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			next.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// image pushes an image.
func image(t *testing.T, host string) (*releasev1.Artifact, *v1.Descriptor) {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	repository, err := name.NewRepository(host+"/shop/web", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repository.Digest(digest.String()), img); err != nil {
		t.Fatal(err)
	}
	size, _ := img.Size()
	media, _ := img.MediaType()
	return &releasev1.Artifact{
		Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Location: repository.String(), Digest: digest.String(),
	}, &v1.Descriptor{Digest: digest, Size: size, MediaType: media}
}

func finder(t *testing.T, hosts ...string) *referrers.Finder {
	t.Helper()
	var all []*configv1.Registry
	for _, h := range hosts {
		all = append(all, &configv1.Registry{Host: h, Insecure: true})
	}
	f, err := referrers.New(all)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestStatementsBesideAnImageAreFound, by the API and by the tag scheme, and nothing else
// that is there.
func TestStatementsBesideAnImageAreFound(t *testing.T) {
	for _, api := range []bool{true, false} {
		host := serve(t, api, nil)
		a, subject := image(t, host)
		none, err := finder(t, host).Find(t.Context(), a, nil)
		if err != nil || len(none) != 0 {
			t.Fatalf("API %v: nothing is there: %q, %v", api, none, err)
		}
		referrerstest.Attach(t, a.GetLocation(), subject, dsse, []byte("an envelope"))
		referrerstest.Attach(t, a.GetLocation(), subject, bundle, []byte("a bundle"))
		referrerstest.Attach(t, a.GetLocation(), subject, bundle, []byte("a bundle"))
		referrerstest.Attach(t, a.GetLocation(), subject, "application/spdx+json", []byte("what it is made of"))
		found, err := finder(t, host).Find(t.Context(), a, nil)
		text := string(bytes.Join(found, []byte(", ")))
		if err != nil || (text != "an envelope, a bundle" && text != "a bundle, an envelope") {
			t.Errorf("API %v: %q, %v", api, text, err)
		}
		tagged := &releasev1.Artifact{Name: "web", Location: a.GetLocation() + ":1.4.2", Digest: a.GetDigest()}
		if found, err = finder(t, host).Find(t.Context(), tagged, nil); err != nil || len(found) != 2 {
			t.Errorf("API %v, location with a tag: %q, %v", api, found, err)
		}
	}
}

// TestMoreThanIsTakenInIsRefused: what is left out could be what matters.
func TestMoreThanIsTakenInIsRefused(t *testing.T) {
	host := serve(t, true, nil)
	many, subject := image(t, host)
	for i := range referrers.MaxStatements {
		referrerstest.Attach(t, many.GetLocation(), subject, dsse, fmt.Append(nil, "statement ", i))
	}
	if found, err := finder(t, host).Find(t.Context(), many, nil); err != nil || len(found) != referrers.MaxStatements {
		t.Errorf("%d statements, %v", len(found), err)
	}
	referrerstest.Attach(t, many.GetLocation(), subject, dsse, []byte("one more"))
	if found, err := finder(t, host).Find(t.Context(), many, nil); !errors.Is(err, referrers.ErrBounds) || found != nil {
		t.Errorf("%d statements, %v", len(found), err)
	}
	large, subject := image(t, host)
	referrerstest.Attach(t, large.GetLocation(), subject, dsse, bytes.Repeat([]byte("x"), referrers.MaxSize))
	if found, err := finder(t, host).Find(t.Context(), large, nil); err != nil || len(found) != 1 {
		t.Errorf("%d statements, %v", len(found), err)
	}
	referrerstest.Attach(t, large.GetLocation(), subject, dsse, bytes.Repeat([]byte("y"), referrers.MaxSize+1))
	if _, err := finder(t, host).Find(t.Context(), large, nil); !errors.Is(err, referrers.ErrBounds) {
		t.Errorf("%v", err)
	}
}

// TestARegistryThatCannotBeAskedIsNoAbsence has everything that may look like one.
func TestARegistryThatCannotBeAskedIsNoAbsence(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a server without an entry was asked for %s", r.URL)
	}))
	defer elsewhere.Close()
	referrersCall := func(then http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				return false
			}
			then(w, r)
			return true
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, then := range map[string]http.HandlerFunc{
		"a fault": status(http.StatusInternalServerError), "not authenticated": status(http.StatusUnauthorized),
		"not allowed": status(http.StatusForbidden), "too many requests": status(http.StatusTooManyRequests),
		"a redirect elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
		"something else": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = w.Write([]byte("<html>"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			host := serve(t, true, nil)
			a, _ := image(t, host)
			front := serve(t, true, referrersCall(then))
			a.Location = strings.Replace(a.GetLocation(), host, front, 1)
			if found, err := finder(t, front).Find(t.Context(), a, nil); !errors.Is(err, referrers.ErrUnreachable) || found != nil {
				t.Errorf("%q, %v", found, err)
			}
		})
	}
	host := serve(t, true, nil)
	a, subject := image(t, host)
	referrerstest.Attach(t, a.GetLocation(), subject, dsse, []byte("an envelope"))
	for _, location := range []string{"registry.example/shop/web", "shop/web", host + "/shop/../web", host + "/", strings.Replace(a.GetLocation(), "127.0.0.1", "localhost", 1)} {
		if _, err := finder(t, host).Find(t.Context(), &releasev1.Artifact{Name: "web", Location: location, Digest: a.GetDigest()}, nil); !errors.Is(err, referrers.ErrLocation) {
			t.Errorf("%s: %v", location, err)
		}
	}
	secure, err := referrers.New([]*configv1.Registry{{Host: host}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secure.Find(t.Context(), a, nil); !errors.Is(err, referrers.ErrUnreachable) {
		t.Errorf("without insecure: %v", err)
	}
}

// TestAStatementThatIsNotWhatItsDigestSaysIsNone has a registry that changes what it keeps.
func TestAStatementThatIsNotWhatItsDigestSaysIsNone(t *testing.T) {
	host := serve(t, true, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		_, _ = w.Write([]byte("another text"))
		return true
	})
	a, subject := image(t, host)
	referrerstest.Attach(t, a.GetLocation(), subject, dsse, []byte("an envelope!"))
	if found, err := finder(t, host).Find(t.Context(), a, nil); !errors.Is(err, referrers.ErrUnreachable) {
		t.Errorf("%q, %v", found, err)
	}
}

func TestTheLoginOfARegistryIsUsedAndNeverTold(t *testing.T) {
	const secret = "hunter2hunter2"
	host := serve(t, true, func(w http.ResponseWriter, r *http.Request) bool {
		if _, password, _ := r.BasicAuth(); strings.Contains(r.URL.Path, "/referrers/") && password != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		if r.URL.Path == "/v2/" {
			w.Header().Set("WWW-Authenticate", `Basic realm="shop"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	})
	plain := serve(t, true, nil)
	a, _ := image(t, plain)
	a.Location = strings.Replace(a.GetLocation(), plain, host, 1)
	file := filepath.Join(t.TempDir(), "password")
	for password, works := range map[string]bool{secret + "\n": true, "wrong" + secret: false} {
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := referrers.New([]*configv1.Registry{{Host: host, Insecure: true, User: "ci", PasswordFile: file}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Find(t.Context(), a, nil)
		if (err == nil) != works || err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
	for _, wrong := range [][]*configv1.Registry{
		{{Host: host}, {Host: host}}, {{Host: "http://" + host}}, {{Host: host, User: "ci"}},
	} {
		if _, err := referrers.New(wrong); err == nil || !strings.Contains(err.Error(), "registries[") {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}
