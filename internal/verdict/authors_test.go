package verdict_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnAuthorByAnySourceIsNoReviewer: people who are authors by the request, by
// another statement or by the evidence of another gate reviewed their own work, in
// whatever spelling they are named.
func TestAnAuthorByAnySourceIsNoReviewer(t *testing.T) {
	review := func(t *testing.T, author string, reviewers ...string) []byte {
		return sign(t, "review", reviewType, object{"authors": []string{author}, "reviewers": reviewers}, "web")
	}
	tests := func(t *testing.T, key, author string) []byte {
		predicate := testsPassed(0)
		predicate["authors"] = []string{author}
		return sign(t, key, testType, predicate, "web")
	}
	for _, test := range []struct {
		name      string
		authors   []string
		envelopes func(t *testing.T) [][]byte
		status    releasev1.GateVerdict_Status
	}{
		{"nobody else", nil, func(t *testing.T) [][]byte { return [][]byte{review(t, "alice", "bob")} }, passed},
		{"by the request", []string{"bob"}, func(t *testing.T) [][]byte { return [][]byte{review(t, "alice", "bob")} }, failed},
		{"by the request, reviewing under an alias", []string{"bob"}, func(t *testing.T) [][]byte { return [][]byte{review(t, "alice", "BBrandt")} }, failed},
		{"by the request, in another case", []string{"BOB@Shop.example"}, func(t *testing.T) [][]byte { return [][]byte{review(t, "alice", "bob")} }, failed},
		{"by the request, beside somebody who is not", []string{"bob"}, func(t *testing.T) [][]byte { return [][]byte{review(t, "alice", "bob", "erin")} }, passed},
		{"by another review", nil, func(t *testing.T) [][]byte {
			return [][]byte{review(t, "alice", "bob"), review(t, "BBRANDT", "bob")}
		}, failed},
		{"each by the other's review", nil, func(t *testing.T) [][]byte {
			return [][]byte{review(t, "alice", "bob"), review(t, "bob", "alice")}
		}, failed},
		{"by the evidence of another gate", nil, func(t *testing.T) [][]byte {
			return [][]byte{review(t, "alice", "bob"), tests(t, "ci", "bob")}
		}, failed},
		{"by evidence that nobody trusts", nil, func(t *testing.T) [][]byte {
			return [][]byte{review(t, "alice", "bob"), tests(t, "mallory", "bob")}
		}, passed},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := document()
			verdict := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(d)}, d.GetGates(),
				&releasev1.Request{Artifacts: web(), Authors: test.authors}, test.envelopes(t), now)[0]
			if verdict.GetStatus() != test.status {
				t.Errorf("%v: %s", verdict.GetStatus(), verdict.GetReason())
			}
			if test.status == failed && !strings.Contains(verdict.GetReason(), "names 0 of 1 reviewers who are not authors") {
				t.Errorf("reason: %s", verdict.GetReason())
			}
		})
	}
}

// TestVerdictsFitIntoOneEvent: evidence of 16 KiB each can name very many people, and
// many artifacts can be wrong in many ways.
func TestVerdictsFitIntoOneEvent(t *testing.T) {
	gates := func(n int) (out []*policyv1.Gate) {
		for i := range n {
			out = append(out, &policyv1.Gate{
				Name: fmt.Sprintf("g%039d", i), PredicateType: reviewType, MinReviewers: 1,
				Field: strings.Repeat("f", 256), Values: []string{strings.Repeat("v", 1024)},
			})
		}
		return out
	}
	wrong := make([]*releasev1.Artifact, 16)
	for i := range wrong {
		wrong[i] = &releasev1.Artifact{Name: strings.Repeat("w", 40), Digest: digestOf(fmt.Sprint(i))}
	}
	crowd := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("author-%09d@shop.example", i))
		}
		return all
	}
	for _, test := range []struct {
		name      string
		gates     int
		artifacts []*releasev1.Artifact
		authors   int
		whole     bool
	}{
		{"a few", 3, web(), 3, true},
		{"sixteen wrong artifacts and many gates", 64, wrong, 3, true},
		{"five hundred authors", 1, web(), 500, true},
		{"five hundred authors for every gate", 8, web(), 500, false},
		{"more authors than anything holds, and many gates", 64, web(), 2000, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := document()
			d.Gates = gates(test.gates)
			for _, g := range d.GetGates() {
				d.Keys[1].Gates = append(d.Keys[1].Gates, g.GetName())
			}
			var envelopes [][]byte
			for i := range 5 {
				people := crowd(test.authors)
				envelopes = append(envelopes, sign(t, "review", reviewType,
					object{"authors": people[i*len(people)/5 : (i+1)*len(people)/5], "reviewers": []string{"erin"}}, "web"))
			}
			all := verdict.Evaluate(verdict.Trust{Index: policy.NewIndex(d)}, d.GetGates(), &releasev1.Request{Artifacts: test.artifacts}, envelopes, now)
			fitting, whole := verdict.Fit(all, 0)
			if size := proto.Size(&releasev1.GatesRefused{Verdicts: fitting}); size > envelope.MaxBody-1<<10 || whole != test.whole || len(fitting) != test.gates {
				t.Errorf("%d verdicts of %d bytes, whole: %v", len(fitting), size, whole)
			}
			for _, v := range fitting {
				if v.GetGate() == "" || v.GetRule() == "" || v.GetReason() == "" || (!whole && v.GetStatus() != failed) {
					t.Fatalf("%v", v)
				}
			}
			if !whole && !strings.Contains(fitting[0].GetReason(), "names more than one event holds") {
				t.Errorf("reason: %s", fitting[0].GetReason())
			}
		})
	}
}
