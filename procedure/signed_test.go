package procedure_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func signedApproval() procedure.Approval {
	return procedure.Approval{
		Person: "anna", Comment: "fine\nwith me", ShownDigest: proceduretest.Digest('f'),
		Signature: &releasev1.ApprovalSignature{
			Signed: timestamppb.New(proceduretest.Start), Expires: timestamppb.New(proceduretest.Start.Add(time.Hour)), Armored: "…",
		},
	}
}

// TestTheSignedTextIsContract: people's signatures are checked years later, so not one
// byte of it changes.
func TestTheSignedTextIsContract(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	got, err := procedure.ApprovalText(h.State(), signedApproval())
	want := `shipwarden approval v1
release: ` + h.Release + `
service: shop
environment: production
requested: 2026-03-02T09:00:01Z
procedure: sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
person: anna
for: anna
change: ` + h.State().ChangeDigest + `
shown: sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
comment: sha256:71812f1411ad3970d2bea9e750b43a246d37d61479293f8e33b153a26bec2d4d
signed: 2026-03-02T09:00:00Z
expires: 2026-03-02T10:00:00Z
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

// TestNoTwoApprovalsHaveOneText: whatever is another about an approval or the change is
// another text, and what could be read in two ways is none.
func TestNoTwoApprovalsHaveOneText(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	seen := map[string]string{}
	try := func(what string, change func(*procedure.State, *procedure.Approval)) {
		s, a := h.State(), signedApproval()
		request := proceduretest.Request()
		s.Request = request
		change(&s, &a)
		text, err := procedure.ApprovalText(s, a)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if same, known := seen[string(text)]; known {
			t.Errorf("%s has the text of %s", what, same)
		}
		seen[string(text)] = what
	}
	type (
		st = procedure.State
		ap = procedure.Approval
	)
	try("nothing", func(*st, *ap) {})
	try("the release", func(s *st, _ *ap) { s.Release += "a" })
	try("the service", func(s *st, _ *ap) { s.Request.Service = "billing" })
	try("the environment", func(s *st, _ *ap) { s.Request.Environment = "staging" })
	try("when it was requested", func(s *st, _ *ap) { s.RequestedAt = s.RequestedAt.Add(1) })
	try("the procedure document", func(s *st, _ *ap) { s.ProcedureDigest = proceduretest.Digest('0') })
	try("the change", func(s *st, _ *ap) { s.ChangeDigest = proceduretest.Digest('0') })
	try("the person", func(_ *st, a *ap) { a.Person = "ben" })
	try("for whom", func(_ *st, a *ap) { a.StandIn = &releasev1.StandIn{Person: "ben"} })
	try("what was shown", func(_ *st, a *ap) { a.ShownDigest = proceduretest.Digest('0') })
	try("the comment", func(_ *st, a *ap) { a.Comment = "" })
	try("when it was signed", func(_ *st, a *ap) { a.Signature.Signed.Nanos++ })
	try("until when it counts", func(_ *st, a *ap) { a.Signature.Expires.Seconds++ })
	for what, change := range map[string]func(*st, *ap){
		"a line more":       func(_ *st, a *ap) { a.Person = "anna\nchange: sha256:0" },
		"a blank":           func(_ *st, a *ap) { a.Person = "anna ben" },
		"nobody":            func(_ *st, a *ap) { a.Person = "" },
		"nothing was shown": func(_ *st, a *ap) { a.ShownDigest = "" },
		"another alphabet":  func(_ *st, a *ap) { a.Person = "аnna" },
		"no end":            func(_ *st, a *ap) { a.Signature.Expires = nil },
		"the year 10000":    func(_ *st, a *ap) { a.Signature.Expires = &timestamppb.Timestamp{Seconds: 253402300800} },
		"no signature":      func(_ *st, a *ap) { a.Signature = nil },
	} {
		s, a := h.State(), signedApproval()
		change(&s, &a)
		if text, err := procedure.ApprovalText(s, a); !errors.Is(err, procedure.ErrSignature) {
			t.Errorf("%s: %v\n%s", what, err, text)
		}
	}
}

// TestASignatureIsHeldToItsApproval by the fold, which has no keys.
func TestASignatureIsHeldToItsApproval(t *testing.T) {
	for what, change := range map[string]func(*releasev1.ApprovalGiven){
		"it is empty":               func(d *releasev1.ApprovalGiven) { d.Signature.Armored = "" },
		"it is longer than any":     func(d *releasev1.ApprovalGiven) { d.Signature.Armored = strings.Repeat("A", 8<<10+1) },
		"signed for a shorter time": func(d *releasev1.ApprovalGiven) { d.Signature.Expires.Seconds-- },
		"signed at no time":         func(d *releasev1.ApprovalGiven) { d.Signature.Signed = nil },
		"nothing was shown":         func(d *releasev1.ApprovalGiven) { d.ShownDigest = "" },
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseApprove)
		e := proceduretest.Approval(h.State(), h.Now.Add(time.Hour))
		d := e.GetApprovalGiven()
		d.Signature = &releasev1.ApprovalSignature{Signed: timestamppb.New(h.Now), Expires: timestamppb.New(h.Now.Add(time.Hour)), Armored: "…"}
		change(d)
		if err := h.Append("anna", e); !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), procedure.ErrSignature.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestABundleIsHeldToItsApproval by the fold, which has no trusted root.
func TestABundleIsHeldToItsApproval(t *testing.T) {
	good := func(h *proceduretest.History) *releasev1.Event {
		e := proceduretest.Approval(h.State(), h.Now.Add(time.Hour))
		e.GetApprovalGiven().Signature = &releasev1.ApprovalSignature{
			Signed: timestamppb.New(h.Now), Expires: timestamppb.New(h.Now.Add(time.Hour)), Bundle: "{}",
			Identity: &releasev1.SignerIdentity{Issuer: "https://id.shop.example", Subject: "anna@shop.example"},
		}
		return e
	}
	for what, change := range map[string]func(*releasev1.ApprovalSignature){
		"an SSH signature beside it":          func(s *releasev1.ApprovalSignature) { s.Armored = "…" },
		"it is longer than any":               func(s *releasev1.ApprovalSignature) { s.Bundle = strings.Repeat("A", 24<<10+1) },
		"nobody vouches":                      func(s *releasev1.ApprovalSignature) { s.Identity.Issuer = "" },
		"for nobody":                          func(s *releasev1.ApprovalSignature) { s.Identity.Subject = "" },
		"it does not say whose":               func(s *releasev1.ApprovalSignature) { s.Identity = nil },
		"a key that is said to be somebody's": func(s *releasev1.ApprovalSignature) { s.Armored, s.Bundle = "…", "" },
		"signed for a longer time":            func(s *releasev1.ApprovalSignature) { s.Expires.Seconds++ },
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseApprove)
		e := good(h)
		change(e.GetApprovalGiven().GetSignature())
		if err := h.Append("anna", e); !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), procedure.ErrSignature.Error()) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	longest := good(h)
	longest.GetApprovalGiven().Signature.Bundle = strings.Repeat("A", 24<<10)
	if err := h.Append("anna", longest); err != nil {
		t.Errorf("the longest: %v", err)
	}
}

// TestASignatureThatWasTakenBackDoesNotCountAgain: whoever kept it, and writes what they like
// in that person's name, has no other. A new one of the same person counts, and so do those of
// others.
func TestASignatureThatWasTakenBackDoesNotCountAgain(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	end := h.Now.Add(time.Hour)
	signed := func(at time.Time) *releasev1.Event {
		e := proceduretest.Approval(h.State(), end)
		e.GetApprovalGiven().Signature = &releasev1.ApprovalSignature{Signed: timestamppb.New(at), Expires: timestamppb.New(end), Armored: "…"}
		return e
	}
	older, first := signed(h.Now.Add(-time.Minute)), signed(h.Now)
	h.Do(t, "anna", first)
	h.Advance(time.Minute)
	h.Do(t, "anna", proceduretest.WithdrawApproval())
	for what, again := range map[string]*releasev1.Event{"the same": first, "one that was made before it": older} {
		if err := h.Append("anna", again); !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), "taken that one back") {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.Do(t, "ben", first)
	h.Do(t, "anna", signed(h.Now))
	h.Do(t, "anna", proceduretest.WithdrawApproval())
	if err := h.Append("anna", first); !errors.Is(err, procedure.ErrInvalidTransition) {
		t.Errorf("the first, after a second was taken back: %v", err)
	}
	// What is over is over: nothing that was signed for it counts for what ended, or too late.
	late := h.Clone()
	late.Advance(time.Hour)
	if err := late.Append("cleo", first); !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("after its end: %v", err)
	}
	h.Do(t, "ben", proceduretest.Reject())
	if err := h.Append("cleo", first); !errors.Is(err, procedure.ErrInvalidTransition) {
		t.Errorf("of a release that was rejected: %v", err)
	}
}

// TestACountThatIgnoresSignaturesIsRefused: the service that authorizes is not believed.
// Enough have approved and enough have signed; only who is counted for what is wrong.
func TestACountThatIgnoresSignaturesIsRefused(t *testing.T) {
	rule := func(group string, signed bool) *releasev1.QuorumRule {
		return &releasev1.QuorumRule{Group: group, Count: 1, Signed: signed}
	}
	count := func(person, group string) *releasev1.CountedApproval {
		return &releasev1.CountedApproval{Person: person, Group: group}
	}
	for what, c := range map[string]struct {
		quorum []*releasev1.QuorumRule
		given  []string
		lie    []*releasev1.CountedApproval
	}{
		"one who did not sign, for a group that must": {
			quorum: []*releasev1.QuorumRule{rule("release-managers", true), rule("security", false)},
			given:  []string{"anna", "cleo", "ben"},
			lie:    []*releasev1.CountedApproval{count("cleo", "release-managers"), count("ben", "security")},
		},
		"two who did not sign, where one of two must": {
			quorum: []*releasev1.QuorumRule{rule("release-managers", true), rule("release-managers", false)},
			given:  []string{"anna", "cleo", "dan"},
			lie:    []*releasev1.CountedApproval{count("cleo", "release-managers"), count("dan", "release-managers")},
		},
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseRisk)
		h.Do(t, "", proceduretest.Risk(h.State(), h.Now, func(f *procedure.RiskFacts) { f.Quorum = c.quorum }))
		for _, p := range c.given {
			e := proceduretest.Approval(h.State(), h.Now.Add(time.Hour))
			if p == "anna" {
				e.GetApprovalGiven().Signature = &releasev1.ApprovalSignature{Signed: timestamppb.New(h.Now), Expires: e.GetApprovalGiven().GetExpires(), Armored: "…"}
			}
			h.Do(t, p, e)
		}
		e := proceduretest.Authorize(h.State(), h.Now)
		e.GetAuthorized().Approvals = c.lie
		if err := h.Append("", e); !errors.Is(err, procedure.ErrInvalidTransition) || !strings.Contains(err.Error(), "counts approvals that were not given") {
			t.Errorf("%s: %v", what, err)
		}
		h.Do(t, "", proceduretest.Authorize(h.State(), h.Now))
	}
}

// TestAStandInSignsForNobodyElse: whoever stands in signs with their own key, which is not
// that of the person who has to sign. Theirs counts where nobody has to.
func TestAStandInSignsForNobodyElse(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseRisk)
	h.Do(t, "", proceduretest.Risk(h.State(), h.Now, func(f *procedure.RiskFacts) {
		f.Quorum = []*releasev1.QuorumRule{{Group: "release-managers", Count: 1, Signed: true}, {Group: "release-managers", Count: 1}}
	}))
	signed := func(e *releasev1.Event) *releasev1.Event {
		e.GetApprovalGiven().Signature = &releasev1.ApprovalSignature{Signed: timestamppb.New(h.Now), Expires: e.GetApprovalGiven().GetExpires(), Armored: "…"}
		return e
	}
	inPlace := signed(proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
	inPlace.GetApprovalGiven().StandIn = &releasev1.StandIn{
		Person: "dan", Groups: []string{"release-managers"}, Delegations: []*releasev1.Delegation{{Number: 1, Person: "dan", StandIn: "finn"}},
	}
	h.Do(t, "finn", inPlace)
	h.Do(t, "cleo", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
	if e := proceduretest.Authorize(h.State(), h.Now); e != nil {
		t.Errorf("nobody of release-managers signed, and it is authorized: %v", e)
	}
	h.Do(t, "anna", signed(proceduretest.Approval(h.State(), h.Now.Add(time.Hour))))
	h.Do(t, "", proceduretest.Authorize(h.State(), h.Now))
}
