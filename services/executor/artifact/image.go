package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/blackdice/shipwarden/internal/outward"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxManifests bounds the images of one index, over all its levels.
const maxManifests = 64

// image verifies that a registry has an image or index under the digest, with
// every manifest and configuration intact and every layer there. The library
// checks each manifest and configuration against the digest that asks for it;
// layers are the business of whoever pulls them, by digest again.
func (f *Fetcher) image(ctx context.Context, a *releasev1.Artifact) (Artifact, error) {
	options, ref, err := f.reference(ctx, a)
	if err != nil {
		return Artifact{}, err
	}
	found, err := remote.Get(ref, options...)
	if err != nil {
		return Artifact{}, registryError(err)
	}
	left := maxManifests
	switch {
	case found.MediaType.IsIndex():
		var index v1.ImageIndex
		if index, err = found.ImageIndex(); err == nil {
			err = checkIndex(ref.Context(), index, &left, options)
		}
	case found.MediaType.IsImage():
		var image v1.Image
		if image, err = found.Image(); err == nil {
			err = checkImage(ref.Context(), image, &left, options)
		}
	default:
		err = fmt.Errorf("media type %s is neither an image nor an index: %w", found.MediaType, ErrRefused)
	}
	if err != nil {
		return Artifact{}, registryError(err)
	}
	result := New(a, int64(len(found.Manifest)), func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(found.Manifest)), nil
	})
	result.MediaType = string(found.MediaType)
	if a.GetKind() == releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART {
		result.chart = func(ctx context.Context) (io.ReadCloser, error) { return f.chart(ctx, a, found.Manifest) }
	}
	reader, err := result.Open(ctx)
	if err == nil {
		_, err = io.Copy(io.Discard, reader)
	}
	return result, err
}

// chartLayer is what the layer of an image says of itself that is a chart.
const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// chart opens the chart that a verified manifest names.
func (f *Fetcher) chart(ctx context.Context, a *releasev1.Artifact, manifest []byte) (io.ReadCloser, error) {
	parsed, err := v1.ParseManifest(bytes.NewReader(manifest))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	var charts []v1.Descriptor
	for _, layer := range parsed.Layers {
		if string(layer.MediaType) == chartLayer {
			charts = append(charts, layer)
		}
	}
	if len(charts) != 1 {
		return nil, fmt.Errorf("the manifest names %d charts: %w", len(charts), ErrRefused)
	}
	options, ref, err := f.reference(ctx, a)
	if err != nil {
		return nil, err
	}
	layer, err := remote.Layer(ref.Context().Digest(charts[0].Digest.String()), options...)
	if err != nil {
		return nil, registryError(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		return nil, registryError(err)
	}
	return &verified{content: content, sum: sha256.New(), want: charts[0].Digest.String(), left: MaxBytes}, nil
}

// reference says how to ask the registry. A host that the configuration does not
// name is refused: a request must not make us talk to just anybody.
func (f *Fetcher) reference(ctx context.Context, a *releasev1.Artifact) ([]remote.Option, name.Digest, error) {
	host, _, _ := strings.Cut(a.GetLocation(), "/")
	// The library takes ".." for a part of a repository's name, and the server for
	// something else.
	if !fs.ValidPath(a.GetLocation()) {
		return nil, name.Digest{}, fmt.Errorf("not a clean path: %w", ErrRefused)
	}
	registry := f.registries[host]
	if registry == nil {
		return nil, name.Digest{}, fmt.Errorf("registry %s is not configured: %w", host, ErrRefused)
	}
	with := []name.Option{name.StrictValidation}
	if registry.GetInsecure() {
		with = append(with, name.Insecure)
	}
	// A tag is what step 2 looked at and noted: here the digest alone counts, for the tag
	// may have been moved since.
	location := a.GetLocation()
	if tag := strings.LastIndex(location, ":"); tag > strings.LastIndex(location, "/") {
		if _, err := name.NewTag(location, with...); err != nil {
			return nil, name.Digest{}, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		location = location[:tag]
	}
	ref, err := name.NewDigest(location+"@"+a.GetDigest(), with...)
	if err != nil {
		return nil, name.Digest{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if ref.Context().String() != location {
		return nil, name.Digest{}, fmt.Errorf("not the name of a repository: %w", ErrRefused)
	}
	options := []remote.Option{
		remote.WithContext(ctx), remote.WithUserAgent("shipwarden"), remote.WithTransport(f.transport),
	}
	if registry.GetUser() != "" {
		password, err := os.ReadFile(registry.GetPasswordFile())
		if err != nil {
			return nil, name.Digest{}, fmt.Errorf("registry %s: password_file: %w: %w", host, ErrUnavailable, err)
		}
		options = append(options, remote.WithAuth(&authn.Basic{
			Username: registry.GetUser(), Password: strings.TrimSpace(string(password)),
		}))
	}
	return options, ref, nil
}

func checkIndex(repository name.Repository, index v1.ImageIndex, left *int, options []remote.Option) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, child := range manifest.Manifests {
		switch {
		case child.MediaType.IsIndex():
			if *left--; *left < 0 {
				return tooMany()
			}
			nested, err := index.ImageIndex(child.Digest)
			if err == nil {
				err = checkIndex(repository, nested, left, options)
			}
			if err != nil {
				return fmt.Errorf("index %s: %w", child.Digest, err)
			}
		case child.MediaType.IsImage():
			image, err := index.Image(child.Digest)
			if err == nil {
				err = checkImage(repository, image, left, options)
			}
			if err != nil {
				return fmt.Errorf("image %s: %w", child.Digest, err)
			}
		}
	}
	return nil
}

func checkImage(repository name.Repository, image v1.Image, left *int, options []remote.Option) error {
	if *left--; *left < 0 {
		return tooMany()
	}
	if _, err := image.RawConfigFile(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	for _, described := range manifest.Layers {
		if len(described.URLs) > 0 {
			return fmt.Errorf("layer %s lies outside of the registry: %w", described.Digest, ErrRefused)
		}
		layer, err := remote.Layer(repository.Digest(described.Digest.String()), options...)
		if err == nil {
			var size int64
			if size, err = layer.Size(); err == nil && size != described.Size {
				err = fmt.Errorf("%d bytes instead of %d: %w", size, described.Size, ErrDigest)
			}
		}
		if err != nil {
			return fmt.Errorf("layer %s: %w", described.Digest, err)
		}
	}
	return nil
}

func tooMany() error {
	return fmt.Errorf("more than %d manifests: %w", maxManifests, ErrRefused)
}

// registryError sorts what the library returns. What is not known to be final is
// taken for something that passes: the caller tries again for a while.
func registryError(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // Its text repeats the URL, which may be one that is a secret.
	}
	var answer *transport.Error
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrDigest):
		return err
	case errors.Is(err, outward.ErrNotConfigured):
		return fmt.Errorf("%w: the registry leads elsewhere: %w", ErrRefused, err)
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case strings.Contains(err.Error(), "does not match"), strings.Contains(err.Error(), "error verifying"):
		return fmt.Errorf("%w: %w", ErrDigest, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
