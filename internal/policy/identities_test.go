package policy_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
)

// identities is what the example would say, did it trust a sigstore instance.
const identities = `
sigstore:
  trusted_root: sha256:2b6c5a1f0d9e4c3b8a7f6e5d4c3b2a190807f6e5d4c3b2a1908f7e6d5c4b3a29
  identities:
    - id: release-workflow
      issuer: https://token.shop.example
      subject_pattern: https://git[.]shop[.]example/shop/[a-z.]+@refs/heads/main
      gates: [provenance]
`

func TestIdentities(t *testing.T) {
	text := string(readExample(t)) + identities
	if _, err := policy.Parse([]byte(text), "procedure.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, old, new string
		want           []string
	}{
		{"for no gate", "gates: [provenance]\n", "gates: [origin]\n", []string{"sigstore.identities[0].gates[0]: there is no gate \"origin\""}},
		{"for nothing", "      gates: [provenance]\n", "", []string{"sigstore.identities[0].gates"}},
		{"with the id of a key", "- id: release-workflow", "- id: ci-builder", []string{"sigstore.identities[0].id", "is the id of a key already"}},
		{"without a name", "      subject_pattern: ", "      build_signer: ", []string{"sigstore.identities[0].name"}},
		{"by two names", "      subject_pattern: ", "      subject: me\n      subject_pattern: ", []string{"subject"}},
		{"by a pattern that does not compile", "subject_pattern: https", "subject_pattern: (https", []string{"sigstore.identities[0].subject_pattern", "missing closing )"}},
		{"by a pattern of a million letters", "subject_pattern: https://git[.]shop[.]example/shop/[a-z.]+@refs/heads/main", "subject_pattern: \"((a{100}){100}){100}\"", []string{"sigstore.identities[0].subject_pattern", "invalid repeat count"}},
		{"by a pattern that is larger than it looks", "subject_pattern: https://git[.]shop[.]example/shop/[a-z.]+@refs/heads/main", "subject_pattern: \"([a-z][a-z][a-z][a-z][a-z][a-z]){1000}\"", []string{"sigstore.identities[0].subject_pattern", "too large"}},
		{"by a pattern that is anything", "subject_pattern: https://git[.]shop[.]example/shop/[a-z.]+@refs/heads/main", "subject_pattern: \".*\"", []string{"sigstore.identities[0].subject_pattern", "could match anybody"}},
		{"vouched for by nobody", "issuer: https://token.shop.example", "issuer: \"\"", []string{"sigstore.identities[0].issuer"}},
		{"vouched for by somebody", "issuer: https://token.shop.example", "issuer: somebody", []string{"sigstore.identities[0].issuer"}},
		{"of a root without a digest", "trusted_root: sha256:", "trusted_root: sha", []string{"sigstore.trusted_root"}},
		{"twice", "    - id: release-workflow\n", "    - {id: release-workflow, issuer: \"https://a.example\", subject: me, gates: [tests]}\n    - id: release-workflow\n", []string{"sigstore.identities[1].id", "is there already"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := strings.Index(text, "sigstore:")
			changed := strings.Replace(text[i:], test.old, test.new, 1)
			if changed == text[i:] {
				t.Fatalf("there is no %q", test.old)
			}
			_, err := policy.Parse([]byte(text[:i]+changed), "procedure.yaml")
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
	// What only a key vouched for may be vouched for by an identity alone.
	alone := strings.Replace(text, "    gates: [provenance]\n    # Requests", "    # Requests", 1)
	if _, err := policy.Parse([]byte(alone), "procedure.yaml"); err != nil {
		t.Errorf("a gate for which only an identity vouches: %v", err)
	}
}
