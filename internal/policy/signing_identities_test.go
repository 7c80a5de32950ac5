package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

func TestSigningIdentitiesThatProveNothingAreRefused(t *testing.T) {
	const issuer = "https://id.shop.example"
	give := func(d *policyv1.Procedure, id, subject string) *policyv1.PersonIdentity {
		p := policy.NewIndex(d).Person(id)
		p.SigningIdentities = append(p.SigningIdentities, &policyv1.PersonIdentity{Issuer: issuer, Subject: subject})
		return p.GetSigningIdentities()[len(p.GetSigningIdentities())-1]
	}
	for name, c := range map[string]struct {
		change func(d *policyv1.Procedure)
		want   []string
	}{
		"one of each": {func(d *policyv1.Procedure) {
			give(d, "carol", "carol@shop.example")
			give(d, "dave", "dave@shop.example")
		}, nil},
		"two people have one": {
			func(d *policyv1.Procedure) { give(d, "carol", "us@shop.example"); give(d, "dave", "us@shop.example") },
			[]string{"people[3].signing_identities[0].subject: duplicate"},
		},
		"two people have nearly one": {
			func(d *policyv1.Procedure) { give(d, "carol", "us@shop.example"); give(d, "dave", "US@shop.example") },
			[]string{"people[3].signing_identities[0].subject: duplicate"},
		},
		"one name at two providers": {
			func(d *policyv1.Procedure) {
				give(d, "carol", "us@shop.example")
				give(d, "dave", "us@shop.example").Issuer = "https://id.other.example"
			},
			nil,
		},
		"a machine": {func(d *policyv1.Procedure) { give(d, "ci-bot", "bot@shop.example") }, []string{"people[6].signing_identities[0]: person.machine"}},
		"no root": {
			func(d *policyv1.Procedure) { give(d, "carol", "carol@shop.example"); d.Sigstore = nil },
			[]string{"people[2].signing_identities[0]: identity.root"},
		},
		"never": {
			func(d *policyv1.Procedure) {
				id := give(d, "carol", "carol@shop.example")
				id.NotBefore, id.NotAfter = &timestamppb.Timestamp{Seconds: 2e9}, &timestamppb.Timestamp{Seconds: 2e9}
			},
			[]string{"people[2].signing_identities[0].not_after: key.span"},
		},
		"a root for nobody": {
			func(d *policyv1.Procedure) { d.Sigstore.Identities = nil },
			[]string{"sigstore.identities: identity.nobody"},
		},
		"a root for people alone": {func(d *policyv1.Procedure) { give(d, "carol", "carol@shop.example"); d.Sigstore.Identities = nil }, nil},
		"one that is revoked, where one is to sign": {
			func(d *policyv1.Procedure) {
				d.Environments[0].Approvals[0].Signed = true
				give(d, "carol", "carol@shop.example").Revoked = true
			},
			[]string{"environments[0].approvals[0].signed: group.unsigned"},
		},
		"one, where one is to sign": {
			func(d *policyv1.Procedure) {
				d.Environments[0].Approvals[0].Signed = true
				give(d, "carol", "carol@shop.example")
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := example(t)
			for _, p := range d.GetPeople() {
				p.SigningKeys, p.SigningIdentities = nil, nil
			}
			d.Sigstore = &policyv1.Sigstore{TrustedRoot: "sha256:" + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Identities: []*policyv1.Identity{{
				Id: "workflow", Issuer: issuer, Name: &policyv1.Identity_Subject{Subject: "workflow"}, Gates: []string{d.GetGates()[0].GetName()},
			}}}
			c.change(d)
			var got []string
			for _, v := range policy.Check(d) {
				got = append(got, v.Field+": "+v.Rule)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
