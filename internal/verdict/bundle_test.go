package verdict_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	provenanceType = "https://slsa.dev/provenance/v1"
	provider       = "https://token.actions.example"
	workflow       = "https://git.example/shop/web/.github/workflows/release.yaml@refs/heads/main"
	builder        = "https://git.example/actions/runner/github-hosted"
)

// built is a document in which a workflow of the main branch vouches for where
// artifacts were built.
func built(changes ...func(*policyv1.Identity)) *policyv1.Procedure {
	d := document()
	d.Gates = []*policyv1.Gate{{
		Name: "provenance", PredicateType: provenanceType, Field: "runDetails.builder.id", Values: []string{builder},
	}}
	identity := &policyv1.Identity{
		Id: "release-workflow", Issuer: provider, Gates: []string{"provenance"},
		Name: &policyv1.Identity_SubjectPattern{SubjectPattern: `https://git\.example/shop/web/\.github/workflows/.*@refs/heads/main`},
	}
	for _, change := range changes {
		change(identity)
	}
	d.Sigstore = &policyv1.Sigstore{Identities: []*policyv1.Identity{identity}}
	return d
}

// provenance is a SLSA provenance statement as a build service makes it.
func provenance(t *testing.T, artifact, by string) string {
	t.Helper()
	data, err := json.Marshal(object{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": provenanceType,
		"subject": []object{{"name": artifact, "digest": object{"sha256": strings.TrimPrefix(digestOf(artifact), "sha256:")}}},
		"predicate": object{
			"buildDefinition": object{
				"buildType":          "https://actions.github.io/buildtypes/workflow/v1",
				"externalParameters": object{"workflow": object{"repository": "https://git.example/shop/web", "ref": "refs/heads/main"}},
			},
			"runDetails": object{"builder": object{"id": by}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestProvenanceSignedByAWorkflow(t *testing.T) {
	ours, theirs := sigstoretest.New(t), sigstoretest.New(t)
	root, err := sigstore.ParseRoot(ours.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	signed := func(subject, issuer, statement string) []byte { return ours.Sign(t, subject, issuer, statement) }
	good := signed(workflow, provider, provenance(t, "web", builder))
	revoke := func(i *policyv1.Identity) { i.Revoked = true }
	elsewhere := func(i *policyv1.Identity) { i.Gates = []string{"tests"} }
	exactly := func(subject string) func(*policyv1.Identity) {
		return func(i *policyv1.Identity) { i.Name = &policyv1.Identity_Subject{Subject: subject} }
	}
	pattern := func(p string) func(*policyv1.Identity) {
		return func(i *policyv1.Identity) { i.Name = &policyv1.Identity_SubjectPattern{SubjectPattern: p} }
	}
	for _, test := range []struct {
		name   string
		doc    *policyv1.Procedure
		root   *sigstore.Root
		bundle []byte
		status releasev1.GateVerdict_Status
		reason string
	}{
		{"proved", built(), root, good, passed, "proved for web"},
		{"by exactly that workflow", built(exactly(workflow)), root, good, passed, "proved for web"},
		{"by exactly another", built(exactly(workflow + "x")), root, good, failed, `is not "release-workflow", because of its subject "` + workflow},
		{"of another branch", built(), root, signed(strings.Replace(workflow, "main", "wip", 1), provider, provenance(t, "web", builder)), failed, "because of its subject"},
		{"by a workflow whose name goes on", built(), root, signed(workflow+"-wip", provider, provenance(t, "web", builder)), failed, "because of its subject"},
		{"by a workflow below another host", built(), root, signed("https://evil.example/?"+workflow, provider, provenance(t, "web", builder)), failed, "because of its subject"},
		{"by a pattern that begins in the middle", built(pattern("release.yaml@refs/heads/main")), root, good, failed, "because of its subject"},
		{"by a pattern of which a part is enough", built(pattern("https|" + strings.ReplaceAll(workflow, ".", "[.]"))), root, good, passed, ""},
		{"vouched for by another provider", built(), root, signed(workflow, "https://token.evil.example", provenance(t, "web", builder)), failed, "whom the procedure does not know"},
		{"by a workflow that is revoked", built(revoke), root, good, failed, `is signed by "release-workflow", who is revoked`},
		{"by a workflow for another gate", built(elsewhere), root, good, failed, `is signed by "release-workflow", who is not trusted for this gate`},
		{"by another repository, as far as is known", built(func(i *policyv1.Identity) { i.SourceRepository = "https://git.example/shop/web" }), root, good, failed, `because of its source repository ""`},
		{"built elsewhere", built(), root, signed(workflow, provider, provenance(t, "web", "https://laptop.example")), failed, `says runDetails.builder.id = "https://laptop.example"`},
		{"of another artifact", built(), root, signed(workflow, provider, provenance(t, "worker", builder)), failed, "is about something else than"},
		{"by another instance", built(), root, theirs.Sign(t, workflow, provider, provenance(t, "web", builder)), failed, "does not verify with the trusted root"},
		{"with a changed statement", built(), root, sigstoretest.Change(t, good, "dsseEnvelope.payload", "e30="), failed, "does not verify with the trusted root"},
		{"where no instance is trusted", built(), nil, good, failed, "the procedure trusts no sigstore instance"},
		{"of another kind of payload", built(), root, sigstoretest.Change(t, good, "dsseEnvelope.payloadType", "text/plain"), failed, "does not verify with the trusted root"},
	} {
		t.Run(test.name, func(t *testing.T) {
			verdict := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(test.doc), Root: test.root}, test.doc.GetGates(),
				&releasev1.Request{Artifacts: web()}, [][]byte{test.bundle}, now)[0]
			if verdict.GetStatus() != test.status || !strings.Contains(verdict.GetReason(), test.reason) {
				t.Fatalf("%v: %s\nwant %v: %s", verdict.GetStatus(), verdict.GetReason(), test.status, test.reason)
			}
			if test.status == passed && (verdict.GetSignedBy() != "release-workflow" || len(verdict.GetEvidence()) != 1) {
				t.Errorf("signed by %q on %v", verdict.GetSignedBy(), verdict.GetEvidence())
			}
		})
	}
}

// TestABuildIsTheOneThatTheProcedureNames carries a certificate with the claims of a build
// through all of it: the bundle, its verification, and the identity that counts. Whatever of
// them is another one, the gate fails and says which.
func TestABuildIsTheOneThatTheProcedureNames(t *testing.T) {
	instance := sigstoretest.New(t)
	root, err := sigstore.ParseRoot(instance.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	doc := built(func(i *policyv1.Identity) {
		i.SourceRepository, i.SourceRef, i.BuildSigner = "https://git.example/shop/web", "refs/heads/main", workflow
		i.BuildTrigger, i.Runner = "push", "github-hosted"
	})
	for name, test := range map[string]struct {
		change func(*sigstoretest.Build)
		reason string // empty: it passes
	}{
		"as it is named":           {func(*sigstoretest.Build) {}, ""},
		"of another repository":    {func(b *sigstoretest.Build) { b.SourceRepository = "https://git.example/fork/web" }, `source repository "https://git.example/fork/web"`},
		"of no repository":         {func(b *sigstoretest.Build) { b.SourceRepository = "" }, `source repository ""`},
		"of another branch":        {func(b *sigstoretest.Build) { b.SourceRef = "refs/heads/wip" }, `source reference "refs/heads/wip"`},
		"of a tag":                 {func(b *sigstoretest.Build) { b.SourceRef = "refs/tags/main" }, `source reference "refs/tags/main"`},
		"by another workflow":      {func(b *sigstoretest.Build) { b.BuildSigner += "-wip" }, `build signer "` + workflow + `-wip"`},
		"begun by somebody's fork": {func(b *sigstoretest.Build) { b.BuildTrigger = "pull_request_target" }, `build trigger "pull_request_target"`},
		"on somebody's machine":    {func(b *sigstoretest.Build) { b.Runner = "self-hosted" }, `runner "self-hosted"`},
		"as another workflow":      {func(b *sigstoretest.Build) { b.Subject = "https://git.example/fork/web/w.yaml@refs/heads/main" }, `subject "https://git.example/fork`},
	} {
		t.Run(name, func(t *testing.T) {
			b := sigstoretest.Build{
				Subject: workflow, Issuer: provider, SourceRepository: "https://git.example/shop/web", SourceRef: "refs/heads/main",
				BuildSigner: workflow, BuildTrigger: "push", Runner: "github-hosted",
			}
			test.change(&b)
			got := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(doc), Root: root}, doc.GetGates(), &releasev1.Request{Artifacts: web()},
				[][]byte{instance.SignBuild(t, b, provenance(t, "web", builder))}, now)[0]
			if test.reason == "" {
				if got.GetStatus() != passed || got.GetSignedBy() != "release-workflow" {
					t.Errorf("%v", got)
				}
				return
			}
			if want := `is not "release-workflow", because of its ` + test.reason; got.GetStatus() != failed || !strings.Contains(got.GetReason(), want) {
				t.Errorf("%v, want %s", got, want)
			}
		})
	}
}
