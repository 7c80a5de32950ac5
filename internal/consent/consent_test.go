package consent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func document(t *testing.T, changes ...func(*policyv1.Procedure)) *policy.Index {
	t.Helper()
	key := func(name string) *policyv1.PersonKey {
		return &policyv1.PersonKey{Ssh: sshsigtest.Public(sshsigtest.Key(t, name))}
	}
	d := &policyv1.Procedure{People: []*policyv1.Person{
		{Id: "anna", Aliases: []string{"anna@shop.example"}, SigningKeys: []*policyv1.PersonKey{key("anna's old one"), key("anna")}},
		{Id: "ben", SigningKeys: []*policyv1.PersonKey{key("ben")}},
	}}
	for _, change := range changes {
		change(d)
	}
	return policy.NewIndex(d)
}

func pending(t *testing.T) (procedure.State, procedure.Approval) {
	t.Helper()
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	a := procedure.Approval{
		Person: "anna", Given: h.Now, Expires: h.Now.Add(time.Hour), Comment: "fine", ShownDigest: proceduretest.Digest('f'),
		Signature: &releasev1.ApprovalSignature{Signed: timestamppb.New(h.Now)},
	}
	return h.State(), consenttest.Signed(t, h.State(), a, sshsigtest.Key(t, "anna"))
}

func TestASignedApprovalIsItsPersons(t *testing.T) {
	s, a := pending(t)
	got, err := consent.Verify(s, a, nil, document(t), document(t))
	if err != nil || got != consent.Keys(document(t), "anna", a.Given)[1] {
		t.Errorf("%s, %v", got, err)
	}
}

// TestAnyChangeVoidsTheSignature changes everything that is signed, and everything of the
// change that is behind its digest, one at a time (PD-A.3).
func TestAnyChangeVoidsTheSignature(t *testing.T) {
	for what, change := range map[string]func(*procedure.State, *procedure.Approval){
		"the release":       func(s *procedure.State, _ *procedure.Approval) { s.Release = "shop-aaaaaaaaaaaaaaaa" },
		"the service":       func(s *procedure.State, _ *procedure.Approval) { s.Request.Service = "billing" },
		"the environment":   func(s *procedure.State, _ *procedure.Approval) { s.Request.Environment = "staging" },
		"the document":      func(s *procedure.State, _ *procedure.Approval) { s.ProcedureDigest = proceduretest.Digest('0') },
		"its request":       func(s *procedure.State, _ *procedure.Approval) { s.RequestedAt = s.RequestedAt.Add(time.Second) },
		"the change":        func(s *procedure.State, _ *procedure.Approval) { s.ChangeDigest = proceduretest.Digest('0') },
		"a target":          func(s *procedure.State, _ *procedure.Approval) { s.Request.Plan.Waves[0].Targets[0] = "us1" },
		"the artifact":      func(s *procedure.State, _ *procedure.Approval) { s.Artifacts[0].Digest = proceduretest.Digest('0') },
		"the preview":       func(s *procedure.State, _ *procedure.Approval) { s.Previews[0].Summary += "." },
		"the person":        func(_ *procedure.State, a *procedure.Approval) { a.Person = "ben" },
		"an alias":          func(_ *procedure.State, a *procedure.Approval) { a.Person = "anna@shop.example" },
		"the comment":       func(_ *procedure.State, a *procedure.Approval) { a.Comment = "" },
		"what was shown":    func(_ *procedure.State, a *procedure.Approval) { a.ShownDigest = proceduretest.Digest('0') },
		"when it was given": func(_ *procedure.State, a *procedure.Approval) { a.Signature.Signed.Nanos++ },
		"how long it holds": func(_ *procedure.State, a *procedure.Approval) { a.Signature.Expires.Seconds++ },
		"one bit of it": func(_ *procedure.State, a *procedure.Approval) {
			a.Signature.Armored = strings.Replace(a.Signature.GetArmored(), "U1NIU0lH", "U1NIU0lI", 1)
		},
		"all of it": func(_ *procedure.State, a *procedure.Approval) { a.Signature = nil },
	} {
		s, a := pending(t)
		before := s.ChangeDigest
		s.Request = proto.CloneOf(s.Request)
		s.Artifacts = []*releasev1.PinnedArtifact{proto.CloneOf(s.Artifacts[0])}
		s.Previews = []*releasev1.TargetPreview{proto.CloneOf(s.Previews[0])}
		change(&s, &a)
		// The executor computes the digest of what it is about to do.
		if s.ChangeDigest == before {
			s.ChangeDigest = procedure.ChangeDigest(s)
		}
		if got, err := consent.Verify(s, a, nil, document(t)); !errors.Is(err, consent.ErrSignature) {
			t.Errorf("%s: %s, %v", what, got, err)
		}
	}
}

// TestASignatureIsOfNoOtherChange: the executor computes the digest of what it is about to
// do, and with another value in any field of it no signature verifies (N-02).
func TestASignatureIsOfNoOtherChange(t *testing.T) {
	s, a := pending(t)
	s = proceduretest.Whole(s)
	s.ChangeDigest = procedure.ChangeDigest(s)
	a = consenttest.Signed(t, s, a, sshsigtest.Key(t, "anna"))
	if _, err := consent.Verify(s, a, nil, document(t)); err != nil {
		t.Fatal(err)
	}
	tried := 0
	proceduretest.Changes(s, func(what string, changed procedure.State) {
		changed.ChangeDigest = procedure.ChangeDigest(changed)
		if got, err := consent.Verify(changed, a, nil, document(t)); !errors.Is(err, consent.ErrSignature) {
			t.Errorf("%s: %s, %v", what, got, err)
		}
		tried++
	})
	if tried < 450 {
		t.Errorf("only %d changes were tried", tried)
	}
}

// TestWhoseKeysCount: those of the person, in every document, at the time of the approval.
func TestWhoseKeysCount(t *testing.T) {
	s, a := pending(t)
	anna := func(change func(*policyv1.Person)) *policy.Index {
		return document(t, func(d *policyv1.Procedure) { change(d.GetPeople()[0]) })
	}
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(a.Given.Add(d)) }
	for what, c := range map[string]struct {
		index *policy.Index
		ok    bool
	}{
		"from now on":       {anna(func(p *policyv1.Person) { p.SigningKeys[1].NotBefore = at(0) }), true},
		"from later on":     {anna(func(p *policyv1.Person) { p.SigningKeys[1].NotBefore = at(1) }), false},
		"until later":       {anna(func(p *policyv1.Person) { p.SigningKeys[1].NotAfter = at(1) }), true},
		"until now":         {anna(func(p *policyv1.Person) { p.SigningKeys[1].NotAfter = at(0) }), false},
		"revoked":           {anna(func(p *policyv1.Person) { p.SigningKeys[1].Revoked = true }), false},
		"another revoked":   {anna(func(p *policyv1.Person) { p.SigningKeys[0].Revoked = true }), true},
		"taken out":         {anna(func(p *policyv1.Person) { p.SigningKeys = p.GetSigningKeys()[:1] }), false},
		"has left":          {anna(func(p *policyv1.Person) { p.Inactive = true }), false},
		"is a machine":      {anna(func(p *policyv1.Person) { p.Machine = true }), false},
		"Ben's key now":     {document(t, func(d *policyv1.Procedure) { d.People[0].Id, d.People[1].Id = "ben", "anna" }), false},
		"unreadable beside": {anna(func(p *policyv1.Person) { p.SigningKeys[0].Ssh = "ssh-ed25519 !" }), true},
	} {
		for i, documents := range [][]*policy.Index{{c.index}, {document(t), c.index}, {c.index, document(t)}} {
			if _, err := consent.Verify(s, a, nil, documents...); (err == nil) != c.ok || (err != nil && !errors.Is(err, consent.ErrSignature)) {
				t.Errorf("%s, %d: %v", what, i, err)
			}
		}
	}
	if _, err := consent.Verify(s, a, nil); !errors.Is(err, consent.ErrSignature) {
		t.Errorf("without a document: %v", err)
	}
}

func TestAllowedSigners(t *testing.T) {
	from := timestamppb.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	index := document(t, func(d *policyv1.Procedure) {
		d.People[0].SigningKeys[0].Revoked = true
		d.People[0].SigningKeys[1].NotBefore, d.People[0].SigningKeys[1].NotAfter = from, timestamppb.New(from.AsTime().AddDate(1, 0, 0))
		d.People = append(d.People, &policyv1.Person{Id: "ci-bot", Machine: true, SigningKeys: d.GetPeople()[1].GetSigningKeys()})
	})
	want := fmt.Sprintf(`anna namespaces="approval@shipwarden",valid-after="20260102030405Z",valid-before="20270102030405Z" %sben namespaces="approval@shipwarden" %s`,
		sshsigtest.Public(sshsigtest.Key(t, "anna")), sshsigtest.Public(sshsigtest.Key(t, "ben")))
	if got := consent.AllowedSigners(index.Document()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
