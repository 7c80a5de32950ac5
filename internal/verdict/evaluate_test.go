package verdict_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

const (
	passed = releasev1.GateVerdict_STATUS_PASSED
	failed = releasev1.GateVerdict_STATUS_FAILED

	testType   = "https://in-toto.io/attestation/test-result/v0.1"
	reviewType = "https://github.com/blackdice/shipwarden/predicate/code-review/v1"
)

// keyOf returns the private key that belongs to a key id.
func keyOf(id string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(id))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(id string) []byte {
	public, _ := keyOf(id).Public().(ed25519.PublicKey)
	return public
}

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

func document() *policyv1.Procedure {
	return &policyv1.Procedure{
		People: []*policyv1.Person{
			{Id: "alice", Aliases: []string{"alice@shop.example"}},
			{Id: "bob", Aliases: []string{"bob@shop.example", "bbrandt"}},
			{Id: "erin"},
			{Id: "frank"},
			{Id: "gone", Inactive: true},
			{Id: "bot", Machine: true},
		},
		Groups: []*policyv1.Group{{Name: "security", Members: []string{"erin", "frank"}}},
		Keys: []*policyv1.Key{
			{Id: "ci", Ed25519: publicOf("ci"), Gates: []string{"tests"}},
			{Id: "review", Ed25519: publicOf("review"), Gates: []string{"code-review"}},
			{Id: "leaked", Ed25519: publicOf("leaked"), Gates: []string{"tests"}, Revoked: true},
			{Id: "early", Ed25519: publicOf("early"), Gates: []string{"tests"}, NotBefore: timestamppb.New(now.Add(1))},
			{Id: "late", Ed25519: publicOf("late"), Gates: []string{"tests"}, NotAfter: timestamppb.New(now.Add(-1))},
			{Id: "span", Ed25519: publicOf("span"), Gates: []string{"tests"}, NotBefore: timestamppb.New(now), NotAfter: timestamppb.New(now)},
		},
		Gates: []*policyv1.Gate{
			{Name: "code-review", PredicateType: reviewType, MinReviewers: 1},
			{Name: "tests", PredicateType: testType, Field: "summary.result", Values: []string{"PASSED"}, MaxAge: durationpb.New(time.Hour)},
		},
	}
}

func web() []*releasev1.Artifact {
	return []*releasev1.Artifact{{Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Digest: digestOf("web")}}
}

type object = map[string]any

func sign(t *testing.T, key, predicateType string, predicate any, artifacts ...string) []byte {
	t.Helper()
	statement := attest.Statement{PredicateType: predicateType, Predicate: predicate}
	for _, name := range artifacts {
		statement.Subjects = append(statement.Subjects, attest.Subject{Name: name, Digest: digestOf(name)})
	}
	envelope, err := attest.Sign(statement, key, keyOf(key))
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

func testsPassed(age time.Duration) object {
	return object{"summary": object{"result": "PASSED"}, "timestamp": now.Add(-age).Format(time.RFC3339)}
}

func evaluate(document *policyv1.Procedure, artifacts []*releasev1.Artifact, envelopes ...[]byte) []*releasev1.GateVerdict {
	return verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(document)}, document.GetGates(), &releasev1.Request{Artifacts: artifacts, Environment: "prod"}, envelopes, now)
}

func TestTestsGate(t *testing.T) {
	good := func(t *testing.T) []byte { return sign(t, "ci", testType, testsPassed(time.Minute), "web") }
	for _, test := range []struct {
		name     string
		envelope func(t *testing.T) []byte
		status   releasev1.GateVerdict_Status
		reason   string
	}{
		{"satisfied", good, passed, "proved for web"},
		{"nothing came", nil, failed, "there is no evidence of type " + testType},
		{"unknown key", func(t *testing.T) []byte { return sign(t, "mallory", testType, testsPassed(0), "web") }, failed, `is signed by the key "mallory", which the procedure does not know`},
		{"key of another gate", func(t *testing.T) []byte { return sign(t, "review", testType, testsPassed(0), "web") }, failed, `the key "review", which is not trusted for this gate`},
		{"revoked key", func(t *testing.T) []byte { return sign(t, "leaked", testType, testsPassed(0), "web") }, failed, `the key "leaked", which is revoked`},
		{"key not valid yet", func(t *testing.T) []byte { return sign(t, "early", testType, testsPassed(0), "web") }, failed, `"early", which is not valid yet`},
		{"key no longer valid", func(t *testing.T) []byte { return sign(t, "late", testType, testsPassed(0), "web") }, failed, `"late", which is no longer valid`},
		{"key valid just now", func(t *testing.T) []byte { return sign(t, "span", testType, testsPassed(0), "web") }, passed, ""},
		{"another artifact", func(t *testing.T) []byte { return sign(t, "ci", testType, testsPassed(0), "worker") }, failed, "is about something else than " + digestOf("web")},
		{"another type", func(t *testing.T) []byte { return sign(t, "ci", "https://x.example/", testsPassed(0), "web") }, failed, "there is no evidence of type"},
		{"tests failed", func(t *testing.T) []byte {
			return sign(t, "ci", testType, object{"summary": object{"result": "FAILED"}, "timestamp": now.Format(time.RFC3339)}, "web")
		}, failed, `says summary.result = "FAILED" instead of PASSED`},
		{"no result", func(t *testing.T) []byte {
			return sign(t, "ci", testType, object{"summary": "PASSED", "timestamp": now.Format(time.RFC3339)}, "web")
		}, failed, "has no value in summary.result"},
		{"exactly as old as allowed", func(t *testing.T) []byte { return sign(t, "ci", testType, testsPassed(time.Hour), "web") }, passed, ""},
		{"older", func(t *testing.T) []byte { return sign(t, "ci", testType, testsPassed(time.Hour+time.Second), "web") }, failed, "older than 1h0m0s"},
		{"from the future", func(t *testing.T) []byte { return sign(t, "ci", testType, testsPassed(-time.Hour), "web") }, failed, "in the future"},
		{"by a clock a little ahead", func(t *testing.T) []byte { return sign(t, "ci", testType, testsPassed(-time.Minute), "web") }, passed, ""},
		{"no timestamp", func(t *testing.T) []byte {
			return sign(t, "ci", testType, object{"summary": object{"result": "PASSED"}}, "web")
		}, failed, "has no timestamp"},
		{"changed after signing", func(t *testing.T) []byte { return tamper(t, good(t)) }, failed, `a signature of the key "ci" that does not verify`},
		{"signed with another's id", func(t *testing.T) []byte {
			return bytes.Replace(sign(t, "mallory", testType, testsPassed(0), "web"), []byte(`"mallory"`), []byte(`"ci"`), 1)
		}, failed, `a signature of the key "ci" that does not verify`},
		{"no key id, key known", func(t *testing.T) []byte { return bytes.Replace(good(t), []byte(`"ci"`), []byte(`""`), 1) }, passed, ""},
		{"no key id, key unknown", func(t *testing.T) []byte {
			return bytes.Replace(sign(t, "mallory", testType, testsPassed(0), "web"), []byte(`"mallory"`), []byte(`""`), 1)
		}, failed, "a key without an id"},
		{"other payload type", func(t *testing.T) []byte {
			return bytes.Replace(good(t), []byte("vnd.in-toto+json"), []byte("json"), 1)
		}, failed, `holds "application/json" instead of`},
		{"not JSON", func(*testing.T) []byte { return []byte("hello") }, failed, "not well-formed JSON"},
		{"too large", func(*testing.T) []byte { return bytes.Repeat([]byte(" "), 64<<10+1) }, failed, "more than 65536 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var envelopes [][]byte
			if test.envelope != nil {
				envelopes = append(envelopes, test.envelope(t))
			}
			verdict := evaluate(document(), web(), envelopes...)[1]
			if verdict.GetStatus() != test.status || !strings.Contains(verdict.GetReason(), test.reason) {
				t.Errorf("%v: %s\nwant %v: %s", verdict.GetStatus(), verdict.GetReason(), test.status, test.reason)
			}
		})
	}
}

func TestReviewGate(t *testing.T) {
	for _, test := range []struct {
		name      string
		count     uint32
		group     string
		predicate object
		status    releasev1.GateVerdict_Status
		reason    string
	}{
		{"by somebody else", 1, "", object{"authors": []string{"alice"}, "reviewers": []string{"bob"}}, passed, ""},
		{"by the author", 1, "", object{"authors": []string{"alice"}, "reviewers": []string{"alice"}}, failed, "names 0 of 1 reviewers who are not authors"},
		{"by the author under another name", 1, "", object{"authors": []string{"ALICE@shop.example"}, "reviewers": []string{"alice"}}, failed, "names 0 of 1"},
		{"by one person under three names", 2, "", object{"authors": []string{"alice"}, "reviewers": []string{"bob", "BBrandt", "bob@shop.example"}}, failed, "names 1 of 2"},
		{"by two people", 2, "", object{"authors": []string{"alice"}, "reviewers": []string{"bob", "erin"}}, passed, ""},
		{"by somebody unknown", 1, "", object{"authors": []string{"alice"}, "reviewers": []string{"zoe"}}, failed, "names 0 of 1"},
		{"by somebody who has left", 1, "", object{"authors": []string{"alice"}, "reviewers": []string{"gone"}}, failed, "names 0 of 1"},
		{"by a machine", 1, "", object{"authors": []string{"alice"}, "reviewers": []string{"bot"}}, failed, "names 0 of 1"},
		{"by nobody of the group", 1, "security", object{"authors": []string{"alice"}, "reviewers": []string{"bob"}}, failed, "names 0 of 1 reviewers of the group security who are not authors"},
		{"by one of the group", 1, "security", object{"authors": []string{"alice"}, "reviewers": []string{"bob", "erin"}}, passed, ""},
		{"by the group's author alone", 1, "security", object{"authors": []string{"erin"}, "reviewers": []string{"bob", "erin"}}, failed, "names 0 of 1"},
		{"work of somebody unknown", 1, "", object{"authors": []string{"zoe@elsewhere.example"}, "reviewers": []string{"bob"}}, passed, ""},
		{"no authors", 1, "", object{"reviewers": []string{"bob"}}, failed, "names no authors"},
		{"empty authors", 1, "", object{"authors": []string{}, "reviewers": []string{"bob"}}, failed, "names no authors"},
		{"author without a name", 1, "", object{"authors": []string{"alice", ""}, "reviewers": []string{"bob"}}, failed, "names no authors"},
		{"authors that are no list", 1, "", object{"authors": "alice", "reviewers": []string{"bob"}}, failed, "names no authors"},
		{"no reviewers", 1, "", object{"authors": []string{"alice"}}, failed, "names no reviewers"},
		{"reviewers that are no names", 1, "", object{"authors": []string{"alice"}, "reviewers": []any{1, 2}}, failed, "names no reviewers"},
	} {
		t.Run(test.name, func(t *testing.T) {
			procedure := document()
			procedure.Gates[0].MinReviewers, procedure.Gates[0].ReviewerGroup = test.count, test.group
			verdict := evaluate(procedure, web(), sign(t, "review", reviewType, test.predicate, "web"))[0]
			if verdict.GetStatus() != test.status || !strings.Contains(verdict.GetReason(), test.reason) {
				t.Errorf("%v: %s\nwant %v: %s", verdict.GetStatus(), verdict.GetReason(), test.status, test.reason)
			}
		})
	}
}

func TestAuthorsAreNamedWhetherTheGatePassesOrNot(t *testing.T) {
	procedure := document()
	envelopes := [][]byte{
		sign(t, "review", reviewType, object{"authors": []string{"BBRANDT", "zoe"}, "reviewers": []string{"bob"}}, "web"),
		sign(t, "review", reviewType, object{"authors": []string{"alice"}, "reviewers": []string{"erin"}}, "web"),
		// Neither of these may take the right to approve away from anybody.
		sign(t, "ci", reviewType, object{"authors": []string{"frank"}, "reviewers": []string{"erin"}}, "web"),
		sign(t, "review", reviewType, object{"authors": []string{"erin"}, "reviewers": []string{"bob"}}, "worker"),
	}
	for _, test := range []struct {
		status    releasev1.GateVerdict_Status
		envelopes [][]byte
		want      []string
	}{
		{failed, envelopes[:1], []string{"bob", "zoe"}},
		{passed, envelopes, []string{"alice", "bob", "zoe"}},
	} {
		verdict := evaluate(procedure, web(), test.envelopes...)[0]
		if verdict.GetStatus() != test.status {
			t.Errorf("%v: %s", verdict.GetStatus(), verdict.GetReason())
		}
		if diff := cmp.Diff(test.want, verdict.GetAuthors()); diff != "" {
			t.Errorf("authors (-want +got):\n%s", diff)
		}
	}
}

func TestOneFailureHidesNoOther(t *testing.T) {
	procedure := document()
	verdicts := evaluate(procedure, web(), sign(t, "mallory", testType, testsPassed(0), "web"))
	if len(verdicts) != 2 {
		t.Fatalf("%d verdicts", len(verdicts))
	}
	for i, name := range []string{"code-review", "tests"} {
		if v := verdicts[i]; v.GetGate() != name || v.GetStatus() != failed || v.GetReason() == "" || v.GetRule() == "" {
			t.Errorf("verdict %v", v)
		}
	}
}

func TestVerdictNamesWhatDecided(t *testing.T) {
	good := sign(t, "ci", testType, testsPassed(time.Minute), "web")
	stale := sign(t, "ci", testType, testsPassed(24*time.Hour), "web")
	alien := sign(t, "mallory", testType, testsPassed(0), "web")
	verdict := evaluate(document(), web(), alien, stale, good)[1]
	if verdict.GetStatus() != passed || verdict.GetSignedBy() != "ci" {
		t.Errorf("verdict %v", verdict)
	}
	if diff := cmp.Diff([]string{digestOf(string(good))}, verdict.GetEvidence()); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
	want := "a trusted statement of type " + testType + " about the artifact's digest, summary.result = PASSED, not older than 1h0m0s"
	if verdict.GetRule() != want {
		t.Errorf("rule %q", verdict.GetRule())
	}
	verdict = evaluate(document(), web(), alien, stale)[1]
	if diff := cmp.Diff([]string{digestOf(string(stale))}, verdict.GetEvidence()); diff != "" {
		t.Errorf("evidence of a failure (-want +got):\n%s", diff)
	}
	for _, reason := range []string{`"mallory"`, "older than"} {
		if !strings.Contains(verdict.GetReason(), reason) {
			t.Errorf("reason %q lacks %q", verdict.GetReason(), reason)
		}
	}
}

func TestEveryArtifactMustBeCovered(t *testing.T) {
	artifacts := append(web(), &releasev1.Artifact{Name: "worker", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Digest: digestOf("worker")})
	one := sign(t, "ci", testType, testsPassed(0), "web")
	other := sign(t, "ci", testType, testsPassed(time.Second), "worker")
	both := sign(t, "ci", testType, testsPassed(0), "web", "worker")
	for _, test := range []struct {
		name      string
		kinds     []releasev1.ArtifactKind
		envelopes [][]byte
		status    releasev1.GateVerdict_Status
		reason    string
	}{
		{"one of two", nil, [][]byte{one}, failed, "artifact worker: "},
		{"each by its own", nil, [][]byte{one, other}, passed, "proved for web, worker"},
		{"both by one", nil, [][]byte{both}, passed, "proved for web, worker"},
		{"only one is of the gate's kind", []releasev1.ArtifactKind{releasev1.ArtifactKind_ARTIFACT_KIND_FILE}, [][]byte{one}, passed, "proved for web"},
		{"the wrong one", []releasev1.ArtifactKind{releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE}, [][]byte{one}, failed, "artifact worker: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			procedure := document()
			procedure.Gates[1].Kinds = test.kinds
			verdict := evaluate(procedure, artifacts, test.envelopes...)[1]
			if verdict.GetStatus() != test.status || !strings.Contains(verdict.GetReason(), test.reason) {
				t.Errorf("%v: %s", verdict.GetStatus(), verdict.GetReason())
			}
		})
	}
	if verdict := evaluate(document(), nil, both)[1]; verdict.GetStatus() != failed {
		t.Errorf("a release of nothing passed: %s", verdict.GetReason())
	}
}

func TestTwoHalvesDoNotAddUp(t *testing.T) {
	failedFresh := sign(t, "ci", testType, object{"summary": object{"result": "FAILED"}, "timestamp": now.Format(time.RFC3339)}, "web")
	passedStale := sign(t, "ci", testType, testsPassed(24*time.Hour), "web")
	if verdict := evaluate(document(), web(), failedFresh, passedStale)[1]; verdict.GetStatus() != failed {
		t.Errorf("passed: %s", verdict.GetReason())
	}
}

func TestManyStatementsDoNotFloodTheReason(t *testing.T) {
	var envelopes [][]byte
	for i := range 32 {
		envelopes = append(envelopes, sign(t, fmt.Sprintf("mallory-%d-%s", i, strings.Repeat("x", 500)), testType, testsPassed(0), "web"))
	}
	reason := evaluate(document(), web(), envelopes...)[1].GetReason()
	if len(reason) > 2000 || !strings.Contains(reason, "and 27 more") {
		t.Errorf("reason of %d bytes: %.200s", len(reason), reason)
	}
}
