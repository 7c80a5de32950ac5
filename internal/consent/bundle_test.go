package consent_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// provided is a sigstore instance, and a document in which Anna and Ben sign with it.
type provided struct {
	*sigstoretest.Instance
	root  []byte
	roots sigstore.Roots
}

func provide(t *testing.T) provided {
	t.Helper()
	p := provided{Instance: sigstoretest.New(t)}
	p.root = p.Root(t)
	root, err := sigstore.ParseRoot(p.root)
	if err != nil {
		t.Fatal(err)
	}
	p.roots = sigstore.Roots{policy.Digest(p.root): root}
	return p
}

func (p provided) document(changes ...func(*policyv1.Procedure)) *policy.Index {
	identity := func(person string) []*policyv1.PersonIdentity {
		return []*policyv1.PersonIdentity{{Issuer: consenttest.Issuer, Subject: consenttest.Subject(person)}}
	}
	d := &policyv1.Procedure{
		Sigstore: &policyv1.Sigstore{TrustedRoot: policy.Digest(p.root)},
		People:   []*policyv1.Person{{Id: "anna", SigningIdentities: identity("anna")}, {Id: "ben", SigningIdentities: identity("ben")}},
	}
	for _, change := range changes {
		change(d)
	}
	return policy.NewIndex(d)
}

// waiting is a release that waits for Anna's approval now: certificates are of today.
func waiting(t *testing.T) (procedure.State, procedure.Approval) {
	t.Helper()
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	s, now := h.State(), time.Now()
	s.RequestedAt = now.Add(-time.Hour)
	return s, procedure.Approval{
		Person: "anna", Given: now, Expires: now.Add(time.Hour), Comment: "fine", ShownDigest: proceduretest.Digest('f'),
		Signature: &releasev1.ApprovalSignature{Signed: timestamppb.New(now)},
	}
}

// TestABundleIsItsPersonsApproval, and says as whom they signed (PD-A.4).
func TestABundleIsItsPersonsApproval(t *testing.T) {
	p := provide(t)
	s, a := waiting(t)
	for name, o := range map[string]sigstoretest.Options{"logged": {}, "logged and stamped": {Stamped: true}} {
		signed := a
		signed.Signature = proto.CloneOf(a.Signature)
		signed = consenttest.Bundled(t, s, signed, p.Instance, o)
		if got, err := consent.Verify(s, signed, p.roots, p.document(), p.document()); err != nil || got != "anna@shop.example by https://id.shop.example" {
			t.Errorf("%s: %s, %v", name, got, err)
		}
		// Whoever takes it in reads from it as whom she signed.
		bare := proto.CloneOf(signed.Signature)
		bare.Identity = nil
		if got, err := consent.Identified(bare); err != nil || !proto.Equal(got, signed.Signature) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestNobodyNamesAnIdentityBesideAKey: only a bundle proves one.
func TestNobodyNamesAnIdentityBesideAKey(t *testing.T) {
	s := &releasev1.ApprovalSignature{Armored: "…", Identity: &releasev1.SignerIdentity{Issuer: "https://id.shop.example", Subject: "ceo@shop.example"}}
	if got, err := consent.Identified(s); !errors.Is(err, consent.ErrSignature) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestAnyChangeVoidsTheBundle: it is of one release, environment, document, change and
// person, for one span of time.
func TestAnyChangeVoidsTheBundle(t *testing.T) {
	p := provide(t)
	s, a := waiting(t)
	signed := consenttest.Bundled(t, s, a, p.Instance, sigstoretest.Options{})
	for what, change := range map[string]func(*procedure.State, *procedure.Approval){
		"the release":       func(s *procedure.State, _ *procedure.Approval) { s.Release = "shop-aaaaaaaaaaaaaaaa" },
		"the environment":   func(s *procedure.State, _ *procedure.Approval) { s.Request.Environment = "staging" },
		"the document":      func(s *procedure.State, _ *procedure.Approval) { s.ProcedureDigest = proceduretest.Digest('0') },
		"its request":       func(s *procedure.State, _ *procedure.Approval) { s.RequestedAt = s.RequestedAt.Add(time.Second) },
		"the change":        func(s *procedure.State, _ *procedure.Approval) { s.ChangeDigest = proceduretest.Digest('0') },
		"the person":        func(_ *procedure.State, a *procedure.Approval) { a.Person = "ben" },
		"for whom":          func(_ *procedure.State, a *procedure.Approval) { a.StandIn = &releasev1.StandIn{Person: "ben"} },
		"the comment":       func(_ *procedure.State, a *procedure.Approval) { a.Comment = "" },
		"what was shown":    func(_ *procedure.State, a *procedure.Approval) { a.ShownDigest = proceduretest.Digest('0') },
		"when it was given": func(_ *procedure.State, a *procedure.Approval) { a.Signature.Signed.Nanos++ },
		"how long it holds": func(_ *procedure.State, a *procedure.Approval) { a.Signature.Expires.Seconds++ },
	} {
		s, a := s, signed
		s.Request, a.Signature = proto.CloneOf(s.Request), proto.CloneOf(a.Signature)
		change(&s, &a)
		if got, err := consent.Verify(s, a, p.roots, p.document()); !errors.Is(err, consent.ErrSignature) || !strings.Contains(err.Error(), "does not verify") {
			t.Errorf("%s: %s, %v", what, got, err)
		}
	}
}

// TestWhichBundlesAreNobodysApproval: right bundles of somebody else, of another time, or by
// another root, and things that are none. Each is refused for its own reason.
func TestWhichBundlesAreNobodysApproval(t *testing.T) {
	p, theirs := provide(t), provide(t)
	s, a := waiting(t)
	now := a.Given
	type (
		approval = procedure.Approval
		options  = sigstoretest.Options
	)
	sign := func(t *testing.T, instance *sigstoretest.Instance, subject, issuer string, o options, changes ...func(*approval)) approval {
		t.Helper()
		a := a
		a.Signature = proto.CloneOf(a.Signature)
		for _, change := range changes {
			change(&a)
		}
		return consenttest.BundledBy(t, s, a, instance, subject, issuer, o)
	}
	const anna, issuer = "anna@shop.example", consenttest.Issuer
	good := func(t *testing.T, changes ...func(*approval)) approval {
		t.Helper()
		return sign(t, p.Instance, anna, issuer, options{}, changes...)
	}
	with := func(change func(*policyv1.PersonIdentity)) *policy.Index {
		return p.document(func(d *policyv1.Procedure) { change(d.GetPeople()[0].GetSigningIdentities()[0]) })
	}
	at := func(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(now.Add(d)) }
	bundle := func(t *testing.T, path string, to any) approval {
		t.Helper()
		a := good(t)
		a.Signature.Bundle = string(sigstoretest.Change(t, []byte(a.Signature.GetBundle()), path, to))
		return a
	}
	const (
		foreign = "no signing identity of the person"
		verify  = "does not verify with the trusted root"
	)
	for name, c := range map[string]struct {
		a    func(*testing.T) approval
		now  *policy.Index // the document in effect now, where it is another one
		by   sigstore.Roots
		want string
	}{
		"as it should be":   {a: func(t *testing.T) approval { return good(t) }},
		"of another person": {a: func(t *testing.T) approval { return sign(t, p.Instance, "ben@shop.example", issuer, options{}) }, want: foreign},
		"in other letters":  {a: func(t *testing.T) approval { return sign(t, p.Instance, "Anna@shop.example", issuer, options{}) }, want: foreign},
		"with a letter more": {a: func(t *testing.T) approval {
			return sign(t, p.Instance, "anna@shop.example.evil.example", issuer, options{})
		}, want: foreign},
		"with a letter in front":   {a: func(t *testing.T) approval { return sign(t, p.Instance, "hanna@shop.example", issuer, options{}) }, want: foreign},
		"vouched for by another":   {a: func(t *testing.T) approval { return sign(t, p.Instance, anna, "https://id.evil.example", options{}) }, want: foreign},
		"vouched for by nearly it": {a: func(t *testing.T) approval { return sign(t, p.Instance, anna, issuer+"/", options{}) }, want: foreign},
		"by another instance":      {a: func(t *testing.T) approval { return sign(t, theirs.Instance, anna, issuer, options{}) }, want: verify},
		"after its certificate": {a: func(t *testing.T) approval {
			return sign(t, p.Instance, anna, issuer, options{At: now.Add(30 * time.Minute)})
		}, want: verify},
		"in no log":                {a: func(t *testing.T) approval { return bundle(t, "verificationMaterial.tlogEntries", []any{}) }, want: verify},
		"a statement":              {a: func(t *testing.T) approval { return bundle(t, "messageSignature", nil) }, want: "no bundle of what was to be signed"},
		"longer than any":          {a: func(t *testing.T) approval { return bundle(t, "padding", strings.Repeat("x", sigstore.MaxText)) }, want: "is the most"},
		"no bundle":                {a: func(t *testing.T) approval { a := good(t); a.Signature.Bundle = "{}"; return a }, want: "no bundle"},
		"besides an SSH signature": {a: func(t *testing.T) approval { a := good(t); a.Signature.Armored = "…"; return a }, want: "there are two"},
		"an SSH signature": {a: func(t *testing.T) approval {
			a := good(t)
			a.Signature.Bundle = sshsigtest.Sign(t, sshsigtest.Key(t, "anna"), "x", []byte("x"))
			return a
		}, want: "no bundle"},
		"said to be somebody else's": {a: func(t *testing.T) approval {
			a := sign(t, p.Instance, "ben@shop.example", issuer, options{})
			a.Signature.Identity.Subject = anna
			return a
		}, want: "somebody else than is written down"},
		"said to be nobody's": {a: func(t *testing.T) approval { a := good(t); a.Signature.Identity = nil; return a }, want: "somebody else than is written down"},
		"before its text": {a: func(t *testing.T) approval {
			return good(t, func(a *approval) { a.Signature.Signed = at(5 * time.Minute) })
		}, want: "before the time that its text says"},
		"after the approval was": {a: func(t *testing.T) approval { a := good(t); a.Given = now.Add(-5 * time.Minute); return a }, want: "after the approval was given"},
		"after the approval's end": {a: func(t *testing.T) approval {
			return good(t, func(a *approval) { a.Expires = now.Add(20 * time.Second) })
		}, want: "after the approval's end"},
		"revoked since":                                     {a: func(t *testing.T) approval { return good(t) }, now: with(func(i *policyv1.PersonIdentity) { i.Revoked = true }), want: "it is revoked"},
		"over when it was given":                            {a: func(t *testing.T) approval { a := good(t); a.Given = now.Add(10 * time.Minute); return a }, now: with(func(i *policyv1.PersonIdentity) { i.NotAfter = at(5 * time.Minute) }), want: "not valid at that time"},
		"over when it was signed":                           {a: func(t *testing.T) approval { return good(t) }, now: with(func(i *policyv1.PersonIdentity) { i.NotAfter = at(10 * time.Second) }), want: "not valid at that time"},
		"not yet when it was signed":                        {a: func(t *testing.T) approval { a := good(t); a.Given = now.Add(10 * time.Minute); return a }, now: with(func(i *policyv1.PersonIdentity) { i.NotBefore = at(5 * time.Minute) }), want: "not valid at that time"},
		"taken out since":                                   {a: func(t *testing.T) approval { return good(t) }, now: p.document(func(d *policyv1.Procedure) { d.People[0].SigningIdentities = nil }), want: foreign},
		"given to somebody else":                            {a: func(t *testing.T) approval { return good(t) }, now: p.document(func(d *policyv1.Procedure) { d.People[0].Id, d.People[1].Id = "ben", "anna" }), want: foreign},
		"of somebody who has left":                          {a: func(t *testing.T) approval { return good(t) }, now: p.document(func(d *policyv1.Procedure) { d.People[0].Inactive = true }), want: foreign},
		"of a machine":                                      {a: func(t *testing.T) approval { return good(t) }, now: p.document(func(d *policyv1.Procedure) { d.People[0].Machine = true }), want: foreign},
		"by a root trusted no more":                         {a: func(t *testing.T) approval { return good(t) }, now: theirs.document(), by: sigstore.Roots{policy.Digest(p.root): p.roots[policy.Digest(p.root)], policy.Digest(theirs.root): theirs.roots[policy.Digest(theirs.root)]}, want: verify},
		"by a root that is not here":                        {a: func(t *testing.T) approval { return good(t) }, by: theirs.roots, want: "none of the trusted roots that are configured here"},
		"by a root replaced since, by one that is not here": {a: func(t *testing.T) approval { return good(t) }, now: theirs.document(), want: "none of the trusted roots that are configured here"},
		"of a build under her name":                         {a: func(t *testing.T) approval { return sign(t, p.Instance, anna, issuer, options{Build: true}) }, want: "machines never approve"},
		"where no root is configured":                       {a: func(t *testing.T) approval { return good(t) }, by: sigstore.Roots{}, want: "none of the trusted roots that are configured here"},
	} {
		t.Run(name, func(t *testing.T) {
			documents := []*policy.Index{p.document()}
			if c.now != nil {
				documents = append(documents, c.now)
			}
			roots := p.roots
			if c.by != nil {
				roots = c.by
			}
			got, err := consent.Verify(s, c.a(t), roots, documents...)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, consent.ErrSignature) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s, %v; want %q", got, err, c.want)
			}
		})
	}
	// It was made before there was anything to approve.
	early := good(t)
	s.RequestedAt = now.Add(10 * time.Minute)
	early = consenttest.Bundled(t, s, early, p.Instance, options{})
	early.Given = now.Add(11 * time.Minute)
	if _, err := consent.Verify(s, early, p.roots, p.document()); err == nil || !strings.Contains(err.Error(), "before the release was requested") {
		t.Errorf("signed before the request: %v", err)
	}
	s.RequestedAt = now.Add(-time.Hour)
	if _, err := consent.Verify(s, good(t), p.roots, policy.NewIndex(&policyv1.Procedure{People: p.document().Document().GetPeople()})); err == nil || !strings.Contains(err.Error(), "names no trusted root") {
		t.Errorf("a document without a root: %v", err)
	}
}

func TestAsWhomPeopleMaySign(t *testing.T) {
	now := time.Now()
	index := provide(t).document(func(d *policyv1.Procedure) {
		d.People[0].SigningIdentities = append(d.People[0].SigningIdentities,
			&policyv1.PersonIdentity{Issuer: consenttest.Issuer, Subject: "lost", Revoked: true},
			&policyv1.PersonIdentity{Issuer: consenttest.Issuer, Subject: "old", NotAfter: timestamppb.New(now)})
	})
	got := consent.Identities(index, "anna", now)
	if len(got) != 1 || got[0].GetSubject() != "anna@shop.example" || !consent.CanSign(index, "anna", now) || consent.CanSign(index, "cleo", now) {
		t.Errorf("%v", got)
	}
	if consent.IdentityOf(index.Document(), "anna", got[0]) == nil || consent.IdentityOf(index.Document(), "ben", got[0]) != nil ||
		consent.IdentityOf(index.Document(), "anna", &releasev1.SignerIdentity{Issuer: consenttest.Issuer, Subject: "lost"}) != nil {
		t.Error("identities of the document are not told apart")
	}
}

// TestWhyABundleIsNotTakenIsSaidInFewWords: much of it is somebody else's text.
func TestWhyABundleIsNotTakenIsSaidInFewWords(t *testing.T) {
	_, err := consent.Identified(&releasev1.ApprovalSignature{Bundle: `{"` + strings.Repeat("\x1b[31m", 2000) + `":1}`})
	if !errors.Is(err, consent.ErrSignature) || len(err.Error()) > 600 || strings.ContainsRune(err.Error(), '\x1b') {
		t.Errorf("%d bytes: %q", len(err.Error()), err)
	}
}
