package predicate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/attest/predicate"
)

const (
	review = `{"result": "approved", "authors": ["alice"], "reviewers": ["bob"], "timestamp": "2026-12-01T10:00:00Z",
		"commit": {"repository": "https://git.example/shop", "digest": {"sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}}}`
	change = `{"system": "jira", "id": "CHG-1", "state": "approved", "timestamp": "2026-12-01T10:00:00Z",
		"window": {"start": "2026-12-01T10:00:00Z", "end": "2026-12-01T12:00:00Z"}}`
	waiver = `{"gate": "tests", "environment": "production", "owner": "carol", "reason": "the suite is being moved", "issued": "2026-12-01T10:00:00Z",
		"expires": "2026-12-03T10:00:00Z"}`
)

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, predicateType, old, new string
		want                          []string
	}{
		{"a review", predicate.CodeReview, "", "", nil},
		{"a review with more than the schema knows", predicate.CodeReview, `"result"`, `"tool": "gerrit", "result"`, nil},
		{"a review without authors", predicate.CodeReview, `"authors": ["alice"], `, "", []string{"authors: required"}},
		{"a review by nobody in particular", predicate.CodeReview, `["bob"]`, `["bob", ""]`, []string{"reviewers.1: "}},
		{"a review with another result", predicate.CodeReview, `"approved"`, `"APPROVED"`, []string{"result: value must be one of 'approved', 'changes_requested'"}},
		{"a review at no time", predicate.CodeReview, "2026-12-01T10", "yesterday", []string{"timestamp: "}},
		{"a review of no commit", predicate.CodeReview, `"sha1"`, `"sha1": "x", "sha256"`, []string{"commit.digest.sha1: "}},
		{"two faults", predicate.CodeReview, `"result": "approved", "authors": ["alice"]`, `"authors": []`, []string{"result: required", "authors: "}},
		{"a change", predicate.ChangeRecord, "", "", nil},
		{"a change in no state", predicate.ChangeRecord, `"state": "approved", `, "", []string{"state: required"}},
		{"a change with half a window", predicate.ChangeRecord, `, "end": "2026-12-01T12:00:00Z"`, "", []string{"window.end: required"}},
		{"a waiver", predicate.Waiver, "", "", nil},
		{"a waiver of nobody", predicate.Waiver, `"owner": "carol", `, "", []string{"owner: required"}},
		{"a waiver for nobody knows where", predicate.Waiver, `"environment": "production", `, "", []string{"environment: required"}},
		{"a waiver for all there is", predicate.Waiver, `"production"`, `"*"`, []string{"environment: "}},
		{"a waiver for one service", predicate.Waiver, `"owner"`, `"service": "shop", "owner"`, nil},
		{"a waiver for a service that is no name", predicate.Waiver, `"owner"`, `"service": "", "owner"`, []string{"service: "}},
		{"a waiver for ever", predicate.Waiver, `"2026-12-03T10:00:00Z"`, `"never"`, []string{"expires: "}},
		{"a waiver without a word", predicate.Waiver, "the suite is being moved", "because", []string{"reason: "}},
		{"a list", predicate.ChangeRecord, change, "[]", []string{"no JSON object"}},
		{"nothing", predicate.ChangeRecord, change, "", []string{"no JSON"}},
		{"something else that is an object", "https://elsewhere.example/v1", "", "", nil},
		{"something else that is none", "https://elsewhere.example/v1", change, "3", []string{"no JSON object"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := change
			switch test.predicateType {
			case predicate.CodeReview:
				text = review
			case predicate.Waiver:
				text = waiver
			}
			changed := strings.Replace(text, test.old, test.new, 1)
			if test.old != "" && changed == text {
				t.Fatalf("there is no %q", test.old)
			}
			err := predicate.Check(test.predicateType, []byte(changed))
			if (len(test.want) == 0) != (err == nil) || (err != nil && !errors.Is(err, predicate.ErrInvalid)) {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v lacks %q", err, want)
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, name := range predicate.Names() {
		if got, ok := predicate.Type(name); !ok || !strings.HasPrefix(got, "https://") {
			t.Errorf("%s: %s, %v", name, got, ok)
		}
	}
	if got, ok := predicate.Type("https://elsewhere.example/v1"); !ok || got != "https://elsewhere.example/v1" {
		t.Errorf("got %s, %v", got, ok)
	}
	if _, ok := predicate.Type("code-reviews"); ok {
		t.Error("a name that stands for nothing was taken")
	}
}

// TestEveryTypeHasASchemaAndAnExample: a CI that copies the example makes what gates read,
// and what lacks a field that the type demands is not signed.
func TestEveryTypeHasASchemaAndAnExample(t *testing.T) {
	for _, name := range predicate.Names() {
		predicateType, _ := predicate.Type(name)
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "predicates", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := predicate.Check(predicateType, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := predicate.Check(predicateType, []byte("{}")); !errors.Is(err, predicate.ErrInvalid) {
			t.Errorf("%s: of nothing at all: %v", name, err)
		}
	}
}

// TestWhatAGateCouldNotReadIsNotSigned, of the types that others have defined.
func TestWhatAGateCouldNotReadIsNotSigned(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"provenance", `"builder": {"id": "https://ci.shop.example/builder"}`, `"builder": {}`, "runDetails.builder.id: required"},
		{"provenance", `"buildType": "https://actions.github.io/buildtypes/workflow/v1",`, "", "buildDefinition.buildType: required"},
		{"provenance", `"2026-12-01T09:50:00Z"`, `"just now"`, "runDetails.metadata.finishedOn: "},
		{"test-result", `"PASSED"`, `"passed"`, "result: value must be one of 'PASSED', 'WARNED', 'FAILED'"},
		{"test-result", `"2026-12-01T10:00:00Z"`, `1796119200`, "timestamp: "},
		{"vulns", `, "scanFinishedOn": "2026-12-01T10:00:00Z"`, "", "metadata.scanFinishedOn: required"},
		{"vulns", `{"method": "nvd", "score": "medium"}`, `{"method": "nvd", "score": 5.2}`, "scanner.result.0.severity.0.score: "},
		{"vulns", `"scanner": {`, `"scanners": {`, "scanner: required"},
		{"svr", `"timeCreated": "2026-12-01T10:00:00Z",`, "", "timeCreated: required"},
		{"svr", `["SHOP_NO_SECRETS", "SHOP_STATIC_ANALYSIS"]`, `"SHOP_NO_SECRETS"`, "properties: "},
		{"vsa", `"PASSED"`, `"passed"`, "verificationResult: value must be one of 'PASSED', 'FAILED'"},
		{"vsa", `"timeVerified": "2026-12-01T10:00:00Z"`, `"timeVerified": "today"`, "timeVerified: "},
		{"vsa", `["SLSA_BUILD_LEVEL_3"]`, `"SLSA_BUILD_LEVEL_3"`, "verifiedLevels: "},
	} {
		predicateType, _ := predicate.Type(test.name)
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "predicates", test.name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(data), test.old, test.new, 1)
		if changed == string(data) {
			t.Fatalf("%s: there is no %q", test.name, test.old)
		}
		if err := predicate.Check(predicateType, []byte(changed)); !errors.Is(err, predicate.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %q: %v, want %q", test.name, test.new, err, test.want)
		}
	}
}
