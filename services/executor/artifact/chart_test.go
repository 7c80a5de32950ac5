package artifact_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
)

// chartIn is a registry that has an image of the layers, by its digest.
func chartIn(t *testing.T, layers ...v1.Layer) (host, digest string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo))))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	image, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(host+"/charts/shop:1.0.0", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	sum, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return host, sum.String()
}

const chartType = types.MediaType("application/vnd.cncf.helm.chart.content.v1.tar+gzip")

// What a digest pins in a registry is a manifest, and the chart is the one layer of it that says so.
func TestTheChartOfARegistryIsTheLayerThatItsManifestNames(t *testing.T) {
	chart, other := static.NewLayer([]byte("a chart"), chartType), static.NewLayer([]byte("its provenance"), "application/vnd.cncf.helm.chart.provenance.v1.prov")
	for name, test := range map[string]struct {
		layers []v1.Layer
		want   error
	}{
		"a chart, and more":  {[]v1.Layer{chart, other}, nil},
		"two charts":         {[]v1.Layer{chart, static.NewLayer([]byte("another"), chartType)}, artifact.ErrRefused},
		"no chart but image": {[]v1.Layer{other}, artifact.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			host, digest := chartIn(t, test.layers...)
			f := reach(t, &configv1.Registry{Host: host, Insecure: true})
			found, err := f.Fetch(t.Context(), &releasev1.Artifact{
				Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, Location: host + "/charts/shop:1.0.0", Digest: digest,
			})
			if err != nil {
				t.Fatal(err)
			}
			content, err := found.OpenChart(t.Context())
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil {
				return
			}
			text, err := io.ReadAll(content)
			if err = errors.Join(err, content.Close()); err != nil || !bytes.Equal(text, []byte("a chart")) {
				t.Errorf("read %q, %v", text, err)
			}
		})
	}
}
