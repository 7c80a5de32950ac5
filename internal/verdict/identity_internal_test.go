package verdict

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/sigstore"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Each claim of a certificate that an identity names has to be so.
func TestEveryClaimThatIsNamedCounts(t *testing.T) {
	certificate := sigstore.Certificate{
		Issuer: "https://provider.example", Subject: "https://git.example/w@main", SourceRepository: "https://git.example/shop",
		SourceRef: "refs/heads/main", BuildSigner: "https://git.example/w@main", BuildTrigger: "push", Runner: "github-hosted",
	}
	whole := func() *policyv1.Identity {
		return &policyv1.Identity{
			Id: "workflow", Issuer: certificate.Issuer, Name: &policyv1.Identity_Subject{Subject: certificate.Subject}, Gates: []string{"provenance"},
			SourceRepository: certificate.SourceRepository, SourceRef: certificate.SourceRef, BuildSigner: certificate.BuildSigner,
			BuildTrigger: certificate.BuildTrigger, Runner: certificate.Runner,
		}
	}
	for want, change := range map[string]func(*policyv1.Identity){
		"":                                    func(*policyv1.Identity) {},
		"whom the procedure does not know":    func(i *policyv1.Identity) { i.Issuer += "/" },
		`its subject "https://git.example/w`:  func(i *policyv1.Identity) { i.Name = &policyv1.Identity_Subject{Subject: "https://git.example/W@main"} },
		"its subject, of which nothing":       func(i *policyv1.Identity) { i.Name = nil },
		`its source repository "https://git.`: func(i *policyv1.Identity) { i.SourceRepository = "https://git.example/other" },
		`its source reference "refs/heads/ma`: func(i *policyv1.Identity) { i.SourceRef = "refs/tags/v1" },
		`its build signer "https://git.exam`:  func(i *policyv1.Identity) { i.BuildSigner = "https://git.example/w@v1" },
		`its build trigger "push"`:            func(i *policyv1.Identity) { i.BuildTrigger = "schedule" },
		`its runner "github-hosted"`:          func(i *policyv1.Identity) { i.Runner = "self-hosted" },
	} {
		identity := whole()
		change(identity)
		signer, reason := certified([]*policyv1.Identity{identity}, certificate, purpose{gate: "provenance"})
		if (want == "") != (signer == "workflow") || !strings.Contains(reason, want) {
			t.Errorf("signer %q, %q, want %q", signer, reason, want)
		}
	}
	// A second identity may be who the first one is not.
	other := whole()
	other.Id, other.Runner = "other", "self-hosted"
	if signer, reason := certified([]*policyv1.Identity{other, whole()}, certificate, purpose{gate: "provenance"}); signer != "workflow" {
		t.Errorf("signer %q, %s", signer, reason)
	}
}

func TestARevokedIdentityCountsUnderNoOther(t *testing.T) {
	c := sigstore.Certificate{Issuer: "https://provider.example", Subject: "https://git.example/w@main"}
	wide := &policyv1.Identity{
		Id: "wide", Issuer: c.Issuer, Name: &policyv1.Identity_SubjectPattern{SubjectPattern: "https://git[.]example/.*"}, Gates: []string{"provenance"},
	}
	revoked := &policyv1.Identity{Id: "revoked", Issuer: c.Issuer, Name: &policyv1.Identity_Subject{Subject: c.Subject}, Gates: []string{"tests"}, Revoked: true}
	for _, order := range [][]*policyv1.Identity{{wide, revoked}, {revoked, wide}} {
		if signer, reason := certified(order, c, purpose{gate: "provenance"}); signer != "" || !strings.Contains(reason, `"revoked", who is revoked`) {
			t.Errorf("signer %q, %s", signer, reason)
		}
	}
}

func TestAPatternMatchesAllOrNothing(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true},
		{"a", "ab", false},
		{"a|ab", "ab", true}, // although the first alternative matches as well
		{"a)|(?:ab", "ab", false},
		{"(?m)^a$", "a\nb", false},
		{"[", "[", false},
		{"", "a", false},
	} {
		if got := matches(test.pattern, test.text); got != test.want {
			t.Errorf("%q on %q: %v", test.pattern, test.text, got)
		}
	}
}
