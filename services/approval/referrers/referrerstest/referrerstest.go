// Package referrerstest puts statements beside images, as signing tools do.
package referrerstest

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Attach pushes a manifest that refers to the subject, whose one layer is the content.
func Attach(tb testing.TB, location string, subject *v1.Descriptor, mediaType string, content []byte) {
	tb.Helper()
	repository, err := name.NewRepository(location, name.Insecure)
	if err != nil {
		tb.Fatal(err)
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(mediaType))
	if img, err = mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(content, types.MediaType(mediaType))}); err != nil {
		tb.Fatal(err)
	}
	attached, ok := mutate.Subject(img, *subject).(v1.Image)
	if !ok {
		tb.Fatal("a manifest with a subject is no image")
	}
	digest, err := attached.Digest()
	if err != nil {
		tb.Fatal(err)
	}
	if err := remote.Write(repository.Digest(digest.String()), attached); err != nil {
		tb.Fatal(err)
	}
}

// Layer is one statement under cosign's tag.
type Layer struct {
	MediaType string
	// PredicateType is what the layer says of itself.
	PredicateType string
	Content       []byte
}

// Tag pushes statements as cosign did before there were referrers: all of them as layers of
// one manifest, under a tag of the subject's digest.
func Tag(tb testing.TB, location, digest string, layers ...Layer) {
	tb.Helper()
	repository, err := name.NewRepository(location, name.Insecure)
	if err != nil {
		tb.Fatal(err)
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for _, l := range layers {
		img, err = mutate.Append(img, mutate.Addendum{
			Layer:       static.NewLayer(l.Content, types.MediaType(l.MediaType)),
			Annotations: map[string]string{"predicateType": l.PredicateType, "dev.cosignproject.cosign/signature": ""},
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := remote.Write(repository.Tag(strings.Replace(digest, ":", "-", 1)+".att"), img); err != nil {
		tb.Fatal(err)
	}
}

// Chart pushes a chart as Helm does, and returns what describes it.
func Chart(tb testing.TB, location string, archive []byte) *v1.Descriptor {
	tb.Helper()
	repository, err := name.NewRepository(location, name.Insecure)
	if err != nil {
		tb.Fatal(err)
	}
	img, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json"),
		mutate.Addendum{Layer: static.NewLayer(archive, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")})
	if err != nil {
		tb.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		tb.Fatal(err)
	}
	if err := remote.Write(repository.Digest(digest.String()), img); err != nil {
		tb.Fatal(err)
	}
	size, err := img.Size()
	if err != nil {
		tb.Fatal(err)
	}
	return &v1.Descriptor{Digest: digest, Size: size, MediaType: types.OCIManifestSchema1}
}
