package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// signature verifies an approval's own signature again, with a key that the procedure
// document of the release has of the person, and of the signers where the replayer was
// given some. What the text says is what the record says: nothing of it is taken.
func (p *pass) signature(ctx context.Context, index *policy.Index, person string) (key string, err error) {
	i := slices.IndexFunc(p.state.Approvals, func(a procedure.Approval) bool { return a.Person == person })
	if i < 0 {
		return "", fmt.Errorf("%w: signature: the approval of %s is not there", errDiffers, person)
	}
	documents := []*policy.Index{index}
	if p.signers != nil {
		documents = append(documents, p.signers)
	}
	roots := p.trusted
	if digest := index.Document().GetSigstore().GetTrustedRoot(); digest != "" && p.trusted == nil && p.signers == nil && p.state.Approvals[i].Signature.GetBundle() != "" {
		roots = sigstore.Roots{}
		if roots[digest], err = p.root(ctx, digest); err != nil {
			return "", err
		}
	}
	key, err = consent.Verify(p.state, p.state.Approvals[i], roots, documents...)
	if err != nil {
		return "", fmt.Errorf("%w: signature: %w", errDiffers, err)
	}
	return key, nil
}

// standIn judges again by which right somebody approved for a person, from the delegations
// that the event has. That those were there, and not revoked, another history says.
func standIn(index *policy.Index, x *releasev1.StandIn, by string, now time.Time) error {
	for i, d := range x.GetDelegations() {
		if field, err := index.CheckDelegation(nil, d, append(index.Rostered(d.GetPerson()), index.GroupsOf(d.GetPerson())...), d.GetFrom().AsTime()); err != nil {
			return fmt.Errorf("%w: stand_in.delegations[%d].%s: by the procedure document: %w", errDiffers, i, field, err)
		}
	}
	right := index.StandIn(x.GetDelegations(), x.GetPerson(), by, now)
	if right == nil {
		return fmt.Errorf("%w: stand_in: by the procedure document %s does not stand in for %s with these delegations", errDiffers, by, x.GetPerson())
	}
	for i, g := range x.GetGroups() {
		if !slices.Contains(right.GetGroups(), g) {
			return fmt.Errorf("%w: stand_in.groups[%d]: %s is none of those for which %s may approve for %s", errDiffers, i, g, by, x.GetPerson())
		}
	}
	same := len(right.GetDelegations()) == len(x.GetDelegations())
	for i := 0; same && i < len(x.GetDelegations()); i++ {
		same = proto.Equal(right.GetDelegations()[i], x.GetDelegations()[i])
	}
	if !same {
		return fmt.Errorf("%w: stand_in.delegations: there is a shorter way from %s to %s among them", errDiffers, x.GetPerson(), by)
	}
	return nil
}
