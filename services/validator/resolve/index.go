package resolve

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Bounds of an index: of the images that stand on record, and of everything in it, such
// as the attestations that builders put beside every image.
const (
	maxPlatforms = 8
	longPlatform = 40
	maxMembers   = 64
)

// index notes the image of every platform of an index, which are what runs in the end. An
// index in an index is refused: nobody could tell from the record what would run.
func index(found *remote.Descriptor, pinned *releasev1.PinnedArtifact) error {
	all, err := found.ImageIndex()
	if err != nil {
		return fmt.Errorf("%w: the index cannot be read: %w", ErrKind, err)
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return fmt.Errorf("%w: the index cannot be read: %w", ErrKind, err)
	}
	if len(manifest.Manifests) > maxMembers {
		return fmt.Errorf("%w: the index names more than %d manifests", ErrKind, maxMembers)
	}
	seen := map[string]bool{}
	for _, m := range manifest.Manifests {
		platform := ""
		if m.Platform != nil {
			platform = m.Platform.String()
		}
		switch {
		case platform == "unknown/unknown":
			// An attestation: it says something of an image, and nothing would run it. What
			// an annotation calls one, and has a platform, would be run all the same.
			continue
		case !m.MediaType.IsImage():
			return fmt.Errorf("%w: the index names a %.80q, not an image", ErrKind, string(m.MediaType))
		case len(platform) > longPlatform:
			return fmt.Errorf("%w: the index names a platform of %d bytes", ErrKind, len(platform))
		case len(pinned.GetPlatforms()) == maxPlatforms:
			return fmt.Errorf("%w: the index has images of more than %d platforms", ErrKind, maxPlatforms)
		case platform != "" && seen[platform]:
			return fmt.Errorf("%w: the index has two images for %s", ErrKind, platform)
		}
		seen[platform] = true
		pinned.Platforms = append(pinned.Platforms, &releasev1.PlatformImage{Platform: platform, Digest: m.Digest.String()})
	}
	if len(pinned.GetPlatforms()) == 0 {
		return fmt.Errorf("%w: the index has no images", ErrKind)
	}
	return nil
}
