package resolve_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve"
)

// packed is a chart as Helm packs it.
func packed(t *testing.T, chart, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, file := range [][2]string{
		{chart + "/Chart.yaml", "apiVersion: v2\nname: " + chart + "\nversion: " + version + "\n"}, {chart + "/templates/a.yaml", "kind: Deployment\n"},
	} {
		err := archive.WriteHeader(&tar.Header{Name: file[0], Mode: 0o644, Size: int64(len(file[1])), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = io.WriteString(archive, file[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// helmPush is a chart as Helm pushes it.
func helmPush(t *testing.T, layers ...[]byte) v1.Image {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")
	for _, l := range layers {
		var err error
		image, err = mutate.Append(image, mutate.Addendum{Layer: static.NewLayer(l, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")})
		if err != nil {
			t.Fatal(err)
		}
	}
	return image
}

// of is the index of images by platform; "" for one that is an attestation.
func of(t *testing.T, platforms ...string) v1.ImageIndex {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		image, err := random.Image(64, 1)
		if err != nil {
			t.Fatal(err)
		}
		add := mutate.IndexAddendum{Add: image}
		if p == "" {
			add.Platform = &v1.Platform{OS: "unknown", Architecture: "unknown"}
		} else if add.Platform, err = v1.ParsePlatform(p); err != nil {
			t.Fatal(err)
		}
		if p == "linux/arm64/v8" {
			// It is called an attestation, and would be run by whoever has such a machine.
			add.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		}
		index = mutate.AppendManifests(index, add)
	}
	return index
}

func TestWhatARegistryHoldsIsPinnedByItsKind(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	chart, two := helmPush(t, packed(t, "shop", "1.4.2")), helmPush(t, packed(t, "shop", "1.4.2"), packed(t, "shop", "1.4.3"))
	broken, big := helmPush(t, []byte("no archive")), helmPush(t, bytes.Repeat([]byte("x"), 5<<20))
	multi, same, none := of(t, "linux/amd64", "linux/arm64/v8", ""), of(t, "linux/amd64", "linux/amd64"), of(t, "")
	many := make([]string, 9)
	for i := range many {
		many[i] = "linux/arm/v" + strings.Repeat("1", i+1)
	}
	nested := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: multi})
	images := map[string]v1.Image{"img/web": image, "charts/shop:1.4.2": chart, "charts/shop:1.5.0": chart, "charts/web:1.4.2": chart, "two/shop": two, "bad/shop": broken, "big/shop": big}
	for at, i := range images {
		push(t, host+"/"+at, func(r name.Reference) error { return remote.Write(r, i) })
	}
	indexes := map[string]v1.ImageIndex{"idx/multi:7": multi, "idx/same": same, "idx/none": none, "idx/nested": nested, "idx/many": of(t, many...)}
	for at, i := range indexes {
		push(t, host+"/"+at, func(r name.Reference) error { return remote.WriteIndex(r, i) })
	}
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
	r := resolver(t, resolve.Config{Registries: []*configv1.Registry{{Host: host, Insecure: true}}, Now: func() time.Time { return at }})
	const oci, helm = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART
	pin := func(kind releasev1.ArtifactKind, location, digest string) (*releasev1.PinnedArtifact, error) {
		return r.Pin(t.Context(), &releasev1.Artifact{Name: "a", Kind: kind, Location: host + "/" + location, Digest: digest})
	}
	got, err := pin(oci, "idx/multi:7", digest(t, multi))
	if err != nil || len(got.GetPlatforms()) != 2 || got.GetPlatforms()[1].GetPlatform() != "linux/arm64/v8" || got.GetTag() != "7" || !got.GetTagResolved().AsTime().Equal(at) {
		t.Errorf("index: %v, %v", got, err)
	}
	for _, location := range []string{"charts/shop", "charts/shop:1.4.2"} {
		if got, err := pin(helm, location, digest(t, chart)); err != nil || got.GetTitle() != "chart shop 1.4.2" || got.GetDigest() != digest(t, chart) {
			t.Errorf("%s: %v, %v", location, got, err)
		}
	}
	for _, bad := range []struct {
		name     string
		kind     releasev1.ArtifactKind
		location string
		digest   string
	}{
		{"a chart called an image", oci, "charts/shop", digest(t, chart)},
		{"an image called a chart", helm, "img/web", digest(t, image)},
		{"an index called a chart", helm, "idx/multi", digest(t, multi)},
		{"a chart under the tag of another version", helm, "charts/shop:1.5.0", digest(t, chart)},
		{"a chart in the repository of another one", helm, "charts/web", digest(t, chart)},
		{"two charts in one", helm, "two/shop", digest(t, two)},
		{"a chart that is no archive", helm, "bad/shop", digest(t, broken)},
		{"a chart that is too large", helm, "big/shop", digest(t, big)},
		{"two images for one platform", oci, "idx/same", digest(t, same)},
		{"an index of attestations", oci, "idx/none", digest(t, none)},
		{"an index in an index", oci, "idx/nested", digest(t, nested)},
		{"an index of too many platforms", oci, "idx/many", digest(t, indexes["idx/many"])},
	} {
		got, err := pin(bad.kind, bad.location, bad.digest)
		if got != nil || !resolve.Permanent(err) || !errors.Is(err, resolve.ErrKind) && !errors.Is(err, resolve.ErrLocation) {
			t.Errorf("%s: %v, %v", bad.name, got, err)
		}
	}
}

func TestWhatLiesInTheFolderIsPinnedByItsKind(t *testing.T) {
	folder := t.TempDir()
	place := func(name string, content []byte) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		return digestOf(string(content))
	}
	chart := place("shop-1.4.2.tgz", packed(t, "shop", "1.4.2"))
	renamed := place("shop-1.5.0.tgz", packed(t, "shop", "1.4.2"))
	config := place("limits.yaml", []byte("limits: {orders: 7}\n"))
	twice := place("twice.json", []byte(`{"a":1,"a":2}`))
	r := resolver(t, resolve.Config{Folder: folder})
	for _, test := range []struct {
		name     string
		kind     releasev1.ArtifactKind
		location string
		digest   string
		title    string
		want     error
	}{
		{"a chart", releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, "shop-1.4.2.tgz", chart, "chart shop 1.4.2", nil},
		{"a chart as an archive", releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE, "shop-1.4.2.tgz", chart, "archive of 2 files", nil},
		{"a configuration", releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION, "limits.yaml", config, "configuration of 1 documents", nil},
		{"a chart under another version", releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART, "shop-1.5.0.tgz", renamed, "", resolve.ErrKind},
		{"a chart called a plan", releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN, "shop-1.4.2.tgz", chart, "", resolve.ErrKind},
		{"a chart called a module", releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_MODULE, "shop-1.4.2.tgz", chart, "", resolve.ErrKind},
		{"a key that is there twice", releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION, "twice.json", twice, "", resolve.ErrKind},
		{"of no kind and another digest", releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION, "twice.json", config, "", resolve.ErrDigest},
		{"not there", releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE, "none.tgz", chart, "", resolve.ErrMissing},
		{"out of the folder", releasev1.ArtifactKind_ARTIFACT_KIND_ARCHIVE, "../x.tgz", chart, "", resolve.ErrLocation},
	} {
		got, err := r.Pin(t.Context(), &releasev1.Artifact{Name: "a", Kind: test.kind, Location: test.location, Digest: test.digest})
		if !errors.Is(err, test.want) || got.GetTitle() != test.title {
			t.Errorf("%s: %v, %v", test.name, got, err)
		}
	}
}
