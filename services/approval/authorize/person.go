package authorize

import (
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// PersonOf returns the caller as the person that the document knows, with the groups that
// it has the person in. Strangers, machines, people who have left, and callers whose names
// are those of several people are refused, with a gRPC status.
func PersonOf(caller identity.Caller, index *policy.Index) (*releasev1.Actor, error) {
	return personOf(caller, index)
}
