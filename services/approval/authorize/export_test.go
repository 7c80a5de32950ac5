package authorize

import (
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shown"
	"github.com/blackdice/shipwarden/procedure"
)

// ShownDigest is the digest of what there is to be seen of a release in that state, under that document;
// it panics where that cannot be written.
func ShownDigest(index *policy.Index, s procedure.State) string {
	document, _, err := shown.Document(pendingOf(index, s))
	if err != nil {
		panic(err)
	}
	return evidence.Digest(document)
}
