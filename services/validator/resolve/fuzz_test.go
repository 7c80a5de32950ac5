package resolve_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve"
)

// FuzzPin has a registry that answers with any bytes, for an artifact of any kind: what is
// pinned has the digest that was asked for and stays within what one event holds, or there
// is an error that says which kind it is.
func FuzzPin(f *testing.F) {
	const image, index = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"
	config := `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:` + strings.Repeat("a", 64) + `"}`
	shaketest.Add(f, int32(2), image, []byte(`{"schemaVersion":2,"mediaType":"`+image+`",`+config+`,"layers":[]}`))
	shaketest.Add(f, int32(2), index, []byte(`{"schemaVersion":2,"mediaType":"`+index+`","manifests":[{"mediaType":"`+image+`","size":2,"digest":"sha256:`+
		strings.Repeat("b", 64)+`","platform":{"os":"linux","architecture":"arm64"}}]}`))
	shaketest.Add(f, int32(3), image, []byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"},"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","size":1}]}`))
	f.Add(int32(4), "text/html; charset=utf-8", []byte("<html>"))
	f.Add(int32(2), index, []byte(`null`))
	var mu sync.Mutex
	var media string
	var says []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/v2/" {
			w.Header().Set("Content-Type", media)
			_, _ = w.Write(says)
		}
	}))
	f.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	r, err := resolve.New(resolve.Config{Registries: []*configv1.Registry{{Host: host, Insecure: true}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind int32, contentType string, body []byte) {
		mu.Lock()
		media, says = contentType, body
		mu.Unlock()
		asked := &releasev1.Artifact{
			Name: "web", Kind: releasev1.ArtifactKind(kind), Location: host + "/shop/web", Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(body)),
		}
		if asked.GetKind() == releasev1.ArtifactKind_ARTIFACT_KIND_FILE {
			return
		}
		pinned, err := r.Pin(t.Context(), asked)
		switch {
		case err != nil && !resolve.Permanent(err) && !errors.Is(err, resolve.ErrUnreachable):
			t.Fatal(err)
		case err == nil && (pinned.GetDigest() != asked.GetDigest() || len(pinned.GetPlatforms()) > 16):
			t.Errorf("%v", pinned)
		}
	})
}
