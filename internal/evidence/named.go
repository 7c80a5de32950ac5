package evidence

import (
	"context"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Named names documents as a store would and keeps none of them: for whoever asks what
// would come of something.
type Named struct{}

// Put returns what a store would name the document.
func (Named) Put(_ context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error) {
	return refTo(mediaType, name, content), nil
}
