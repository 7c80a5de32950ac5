package replay

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestABundleIsVerifiedAgain with the root that the document names, as it is kept, or with
// roots of the auditor's own; and where they bring signers of their own, with no root that
// came with the record.
func TestABundleIsVerifiedAgain(t *testing.T) {
	ours, theirs := sigstoretest.New(t), sigstoretest.New(t)
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	s, now := h.State(), time.Now()
	s.RequestedAt = now.Add(-time.Hour)
	s.Approvals = []procedure.Approval{consenttest.Bundled(t, s, procedure.Approval{
		Person: "anna", Given: now, Expires: now.Add(time.Hour), ShownDigest: proceduretest.Digest('f'),
		Signature: &releasev1.ApprovalSignature{Signed: timestamppb.New(now)},
	}, ours, sigstoretest.Options{})}
	people := []*policyv1.Person{{Id: "anna", SigningIdentities: []*policyv1.PersonIdentity{{Issuer: consenttest.Issuer, Subject: consenttest.Subject("anna")}}}}
	root := func(instance *sigstoretest.Instance) ([]byte, sigstore.Roots) {
		data := instance.Root(t)
		parsed, err := sigstore.ParseRoot(data)
		if err != nil {
			t.Fatal(err)
		}
		return data, sigstore.Roots{policy.Digest(data): parsed}
	}
	file, own := root(ours)
	_, other := root(theirs)
	index := policy.NewIndex(&policyv1.Procedure{People: people, Sigstore: &policyv1.Sigstore{TrustedRoot: policy.Digest(file)}})
	signers := policy.NewIndex(&policyv1.Procedure{People: people})
	for name, c := range map[string]struct {
		kept    []byte
		signers *policy.Index
		roots   sigstore.Roots
		want    error
	}{
		"with the kept root":                 {kept: file},
		"with no root":                       {want: errInput},
		"with another file under its digest": {kept: []byte("{}"), want: errInput},
		"with the auditor's root":            {roots: own},
		"with another one of the auditor's":  {kept: file, roots: other, want: errDiffers},
		"by the auditor's signers and root":  {signers: signers, roots: own},
		"by the auditor's signers alone":     {kept: file, signers: signers, want: errDiffers},
		"by signers who are others":          {signers: policy.NewIndex(&policyv1.Procedure{}), roots: own, want: errDiffers},
	} {
		r := New(nil, func(context.Context, string) ([]byte, error) {
			if c.kept == nil {
				return nil, ErrMissing
			}
			return c.kept, nil
		})
		r.Signers(c.signers)
		r.Roots(c.roots)
		key, err := (&pass{Replayer: r, state: s}).signature(t.Context(), index, "anna")
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || err == nil && key != "anna@shop.example by https://id.shop.example" {
			t.Errorf("%s: %s, %v, want %v", name, key, err, c.want)
		}
	}
}
