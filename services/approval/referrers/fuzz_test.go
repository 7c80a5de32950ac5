package referrers_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/referrers"
)

// FuzzFind has a registry that answers with any bytes: with an index of what refers to an
// image, with a word on where there is more, and with one answer for everything else. What
// is found is what its digest says, or there is an error that says which kind it is.
func FuzzFind(f *testing.F) {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	shaketest.Add(f, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"`+digest+`","artifactType":"`+dsse+`"}]}`), []byte(`{"layers":[{"mediaType":"`+dsse+`","size":1,"digest":"`+digest+`"}]}`), `<?last=1>; rel="next"`)
	shaketest.Add(f, []byte(`{"manifests":null}`), []byte(`{}`), ``)
	shaketest.Add(f, []byte(`[]`), []byte(``), `</v2/>;rel=first, <`)
	var mu sync.Mutex
	var index, other []byte
	var more string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path == "/v2/":
		case strings.Contains(r.URL.Path, "/referrers/"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			w.Header().Set("Link", more)
			_, _ = w.Write(index)
		default:
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = w.Write(other)
		}
	}))
	f.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	finder, err := referrers.New([]*configv1.Registry{{Host: host, Insecure: true}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(finder.Close)
	f.Fuzz(func(t *testing.T, list, rest []byte, link string) {
		mu.Lock()
		index, other, more = list, rest, link
		mu.Unlock()
		found, err := finder.Find(t.Context(), &releasev1.Artifact{Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Location: host + "/shop/web", Digest: digest}, []string{"https://slsa.dev/provenance/v1"})
		if err != nil && !errors.Is(err, referrers.ErrUnreachable) && !errors.Is(err, referrers.ErrBounds) && !errors.Is(err, referrers.ErrLocation) {
			t.Fatal(err)
		}
		if len(found) > referrers.MaxStatements {
			t.Errorf("%d statements", len(found))
		}
		for _, content := range found {
			if len(content) > referrers.MaxSize {
				t.Errorf("one of %d bytes", len(content))
			}
		}
	})
}
