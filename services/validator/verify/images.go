package verify

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// approvedImages are the images of the release, for each of its targets: the artifacts that step 2
// found to be images, and those that an index of them is of. They are what people approved, and
// nobody who changes production is asked for them.
func approvedImages(state procedure.State) map[string][]string {
	out := map[string][]string{}
	images := imagesOf(state)
	for _, wave := range state.Request.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			out[id] = images
		}
	}
	return out
}

// imagesOf are the digests of the images of a release; never nil.
func imagesOf(state procedure.State) []string {
	images := []string{}
	for _, a := range state.Artifacts {
		if a.GetKind() != releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE {
			continue
		}
		images = append(images, a.GetDigest())
		for _, p := range a.GetPlatforms() {
			images = append(images, p.GetDigest())
		}
	}
	return images
}

// imagesBefore are the images that were approved of what each target carried before this release:
// those of the release that placed it. Of a target that carried nothing, or what no release
// placed, nobody knows.
func (s shell) imagesBefore(ctx context.Context, state procedure.State) (map[string][]string, error) {
	out, known := map[string][]string{}, map[string][]string{}
	for _, id := range wave(state) {
		before := state.Scoped(id).GetState().GetDeployed().GetRelease()
		if before == "" || s.histories == nil {
			continue
		}
		if _, ok := known[before]; !ok {
			h, err := s.histories.Load(ctx, procedure.Aggregate(before))
			if err != nil {
				return nil, fmt.Errorf("read release %s, which is gone back to: %w", before, err)
			}
			earlier, _ := procedure.Fold(before, h.Entries)
			known[before] = imagesOf(earlier)
		}
		out[id] = known[before]
	}
	return out, nil
}
