package resolve

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve/inspect"
)

// Media types of a chart in a registry, as Helm writes them.
const (
	chartConfig  = "application/vnd.cncf.helm.config.v1+json"
	chartContent = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// chart looks into a chart that lies in a registry: its manifest names one archive, which
// is read by its digest. Its size is bounded as every answer of a registry is.
func (r *Resolver) chart(ctx context.Context, found *remote.Descriptor, at place, pinned *releasev1.PinnedArtifact) error {
	image, err := found.Image()
	if err != nil {
		return fmt.Errorf("%w: its manifest cannot be read: %w", ErrKind, err)
	}
	manifest, err := image.Manifest()
	switch {
	case err != nil:
		return fmt.Errorf("%w: its manifest cannot be read: %w", ErrKind, err)
	case manifest.Config.MediaType != chartConfig:
		return fmt.Errorf("%w: its configuration is a %.80q, not one of a chart", ErrKind, string(manifest.Config.MediaType))
	}
	var archives []v1.Descriptor
	for _, l := range manifest.Layers {
		if l.MediaType == chartContent {
			archives = append(archives, l)
		}
	}
	if len(archives) != 1 {
		return fmt.Errorf("%w: its manifest names %d charts, must be one", ErrKind, len(archives))
	}
	if archives[0].Size > maxAnswer {
		return fmt.Errorf("%w: its archive is larger than %d bytes", ErrKind, maxAnswer)
	}
	layer, err := remote.Layer(at.repository.Digest(archives[0].Digest.String()), at.options...)
	if err != nil {
		return explainImage(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		return explainImage(err)
	}
	defer content.Close()
	source := &source{reader: untilDone{ctx, content}}
	chart, err := inspect.HelmChart(source)
	if source.err != nil {
		return explainImage(source.err)
	}
	if err == nil {
		err = chart.Named(at.repository.RepositoryStr(), at.tag)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKind, err)
	}
	pinned.Title = chart.Title()
	return nil
}
