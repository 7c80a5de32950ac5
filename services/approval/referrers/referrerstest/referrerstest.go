// Package referrerstest puts statements beside images, as signing tools do.
package referrerstest

import (
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
