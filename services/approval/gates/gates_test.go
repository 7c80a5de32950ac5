package gates_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

// request makes a release with that evidence, which is stored unless it is empty.
func request(t *testing.T, r *approvaltest.Rig, key string, envelope []byte, changes ...func(*releasev1.Request)) string {
	t.Helper()
	asked := proceduretest.Request(append(changes, proceduretest.Key(key))...)
	release := procedure.ReleaseID(asked.GetEnvironment(), asked.GetService(), asked.GetIdempotencyKey())
	first := proto.CloneOf(proceduretest.Requested(asked, time.Now()))
	first.ProcedureDigest = r.Digest
	if envelope != nil {
		ref, err := r.Evidence.Put(t.Context(), "application/json", "evidence", envelope)
		if err != nil {
			t.Fatal(err)
		}
		first.GetRequested().Evidence = []*releasev1.EvidenceRef{ref}
	}
	if _, err := r.Store.Append(t.Context(), eventstore.Draft{Aggregate: procedure.Aggregate(release), Event: first}); err != nil {
		t.Fatal(err)
	}
	return release
}

func tests(t *testing.T, key, result, digest string) []byte {
	t.Helper()
	b, err := attest.Sign(attest.Statement{
		PredicateType: approvaltest.TestType, Predicate: map[string]any{"result": result},
		Subjects: []attest.Subject{{Name: "shop", Digest: digest}},
	}, key, approvaltest.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGates(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	artifact := proceduretest.Digest('a')
	for _, c := range []struct {
		name     string
		evidence []byte
		changes  []func(*releasev1.Request)
		phase    procedure.Phase
		status   releasev1.GateVerdict_Status
		reason   string
	}{
		{"proved", tests(t, "ci", "PASSED", artifact), nil, procedure.PhaseScope, releasev1.GateVerdict_STATUS_PASSED, ""},
		{"not-proved", nil, nil, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, "no evidence"},
		{"failed", tests(t, "ci", "FAILED", artifact), nil, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, "FAILED"},
		{"another-artifact", tests(t, "ci", "PASSED", proceduretest.Digest('0')), nil, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, "something else"},
		{"another-key", tests(t, "billing-ci", "PASSED", artifact), nil, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, "not trusted"},
		{"garbage", []byte("{"), nil, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, ""},
		{"emergency", nil, []func(*releasev1.Request){proceduretest.Emergency}, procedure.PhaseScope, releasev1.GateVerdict_STATUS_BYPASSED, "no evidence"},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := request(t, r, c.name, c.evidence, c.changes...)
			s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil), release, time.Now())
			if err != nil || s.Phase != c.phase || len(s.Gates) != 1 {
				t.Fatalf("phase %s, %v, %v", s.Phase, s.Gates, err)
			}
			v := s.Gates[0]
			if v.GetGate() != "tests" || v.GetStatus() != c.status || !strings.Contains(v.GetReason(), c.reason) || v.GetRule() == "" {
				t.Errorf("verdict %v", v)
			}
			if c.status == releasev1.GateVerdict_STATUS_PASSED && (v.GetSignedBy() != "ci" || len(v.GetEvidence()) != 1) {
				t.Errorf("verdict %v", v)
			}
		})
	}
}

// TestAWaivedGateLetsTheReleaseGoOn, and whoever is to approve it sees by whom.
func TestAWaivedGateLetsTheReleaseGoOn(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Gates[0].Waivable = &policyv1.Waivable{Max: durationpb.New(24 * time.Hour)}
		d.Keys = append(d.Keys, &policyv1.Key{Id: "desk", Ed25519: approvaltest.PublicKey("desk"), Waives: []string{"tests"}})
	}))
	now := time.Now()
	for owner, want := range map[string]procedure.Phase{"anna": procedure.PhaseScope, "rita": procedure.PhaseRecord, "ada": procedure.PhaseRecord} {
		waiver, err := attest.Sign(attest.Statement{
			PredicateType: attest.WaiverType, Subjects: []attest.Subject{{Name: "shop", Digest: proceduretest.Digest('a')}},
			Predicate: map[string]any{
				"gate": "tests", "environment": "production", "owner": owner, "reason": "the suite is being moved",
				"issued": now.Format(time.RFC3339), "expires": now.Add(time.Hour).Format(time.RFC3339),
			},
		}, "desk", approvaltest.Key("desk"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil), request(t, r, "waived-by-"+owner, waiver), now)
		if err != nil || s.Phase != want {
			t.Fatalf("%s: phase %s, %v, %v", owner, s.Phase, s.Gates, err)
		}
		if w := s.Waivers(); want == procedure.PhaseScope && (len(w) != 1 || w[0].GetOwner() != owner || !strings.Contains(s.Gates[0].GetReason(), "waived for shop by anna until")) {
			t.Errorf("%v", s.Gates)
		}
	}
}

// The root is pinned by the document and read from the evidence, where it stays.
func TestABundleIsJudgedByTheRootThatTheDocumentNames(t *testing.T) {
	const subject, issuer = "https://git.example/release@main", "https://provider.example"
	ours, theirs := sigstoretest.New(t), sigstoretest.New(t)
	root := ours.Root(t)
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Sigstore = &policyv1.Sigstore{TrustedRoot: policy.Digest(root), Identities: []*policyv1.Identity{{
			Id: "workflow", Issuer: issuer, Name: &policyv1.Identity_Subject{Subject: subject}, Gates: []string{"tests"},
		}}}
	}))
	statement, err := json.Marshal(map[string]any{
		"_type": attest.StatementType, "predicateType": approvaltest.TestType, "predicate": map[string]any{"result": "PASSED"},
		"subject": []any{map[string]any{"name": "shop", "digest": map[string]string{"sha256": strings.TrimPrefix(proceduretest.Digest('a'), "sha256:")}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	step := gates.New(r.Procedures, r.Evidence, nil)
	early := request(t, r, "early", ours.Sign(t, subject, issuer, string(statement)))
	if s, err := r.Act(t, step, early, time.Now()); err == nil || s.Phase != procedure.PhaseGates {
		t.Errorf("without the root: phase %s, %v", s.Phase, err)
	}
	if _, err := r.Evidence.Put(t.Context(), "application/json", "root", root); err != nil {
		t.Fatal(err)
	}
	for key, test := range map[string]struct {
		by     *sigstoretest.Instance
		phase  procedure.Phase
		signer string
	}{
		"ours":   {ours, procedure.PhaseScope, "workflow"},
		"theirs": {theirs, procedure.PhaseRecord, ""},
	} {
		release := request(t, r, key, test.by.Sign(t, subject, issuer, string(statement)))
		s, err := r.Act(t, step, release, time.Now())
		if err != nil || s.Phase != test.phase || s.Gates[0].GetSignedBy() != test.signer {
			t.Errorf("%s: phase %s, %v, %v", key, s.Phase, s.Gates, err)
		}
	}
}

// TestEvidenceThatNoEventHoldsRefusesAnyRelease: an emergency too, for whom it names as
// authors could not be kept.
func TestEvidenceThatNoEventHoldsRefusesAnyRelease(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		for i := range 7 {
			gate := proto.CloneOf(d.GetGates()[0])
			gate.Name = fmt.Sprintf("tests-%d", i)
			d.Gates, d.Keys[0].Gates = append(d.Gates, gate), append(d.Keys[0].Gates, gate.GetName())
		}
	}))
	for _, c := range []struct {
		authors int
		phase   procedure.Phase
		reason  string
	}{
		{10, procedure.PhaseScope, "FAILED"},
		{500, procedure.PhaseRecord, "for this one, 500 authors and 1 envelopes"},
	} {
		var authors []string
		for i := range c.authors {
			authors = append(authors, fmt.Sprintf("author-%09d", i))
		}
		envelope, err := attest.Sign(attest.Statement{
			PredicateType: approvaltest.TestType, Predicate: map[string]any{"result": "FAILED", "authors": authors},
			Subjects: []attest.Subject{{Name: "shop", Digest: proceduretest.Digest('a')}},
		}, "ci", approvaltest.Key("ci"))
		if err != nil {
			t.Fatal(err)
		}
		release := request(t, r, fmt.Sprint("authors-", c.authors), envelope, proceduretest.Emergency)
		s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil), release, time.Now())
		if err != nil || s.Phase != c.phase || !strings.Contains(s.Gates[0].GetReason(), c.reason) {
			t.Errorf("%d authors: phase %s, %v, %v", c.authors, s.Phase, s.Gates, err)
		}
	}
}

func TestEvidenceThatCannotBeReadDecidesNothing(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	release := request(t, r, "gone", tests(t, "ci", "PASSED", proceduretest.Digest('a')))
	objects, err := r.JetStream().ObjectStore(t.Context(), eventstore.BucketEvidence)
	if err != nil {
		t.Fatal(err)
	}
	digest := strings.TrimPrefix(r.State(t, release).Requested.GetEvidence()[0].GetDigest(), "sha256:")
	if err := objects.Delete(t.Context(), digest); err != nil {
		t.Fatal(err)
	}
	// A process that did not put it itself.
	if s, err := r.Act(t, gates.New(r.Procedures, evidence.New(r.JetStream()), nil), release, time.Now()); err == nil || s.Phase != procedure.PhaseGates {
		t.Errorf("phase %s, %v", s.Phase, err)
	}
}
