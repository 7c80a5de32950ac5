package verdict_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/verdict"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	scanType    = "https://in-toto.io/attestation/vulns/v0.2"
	oldScanType = "https://in-toto.io/attestation/vulns/v0.1"
	svrType     = "https://in-toto.io/attestation/svr/v0.1"
	vsaType     = "https://slsa.dev/verification_summary/v1"
)

// scan is what a scanner attests whose database is of a day before, with these ratings by
// nvd, one for each vulnerability.
func scan(finished any, scores ...string) object {
	found := []any{}
	for _, score := range scores {
		found = append(found, object{"id": "CVE-2026-1", "severity": []object{{"method": "nvd", "score": score}, {"method": "cvss_score", "score": "5.2"}}})
	}
	return object{
		"scanner": object{
			"uri": "pkg:github/aquasecurity/trivy@v0.58.0", "version": "0.58.0", "result": found,
			"db": object{"uri": "pkg:github/aquasecurity/trivy-db", "version": "v2", "lastUpdate": now.Add(-24 * time.Hour).Format(time.RFC3339)},
		},
		"metadata": object{"scanStartedOn": now.Add(-49 * time.Hour).Format(time.RFC3339), "scanFinishedOn": finished},
	}
}

func svr(created any, properties ...string) object {
	return object{"verifier": object{"id": "https://verifier.shop.example/v2"}, "timeCreated": created, "properties": properties}
}

func vsa(verified any, levels ...string) object {
	return object{
		"verifier": object{"id": "https://verifier.shop.example/v2"}, "timeVerified": verified,
		"resourceUri": "oci://registry.shop.example/cards", "policy": object{"uri": "https://shop.example/policy"},
		"verificationResult": "PASSED", "verifiedLevels": levels, "slsaVersion": "1.0",
	}
}

// with returns a predicate with other fields of its first level; nil takes one away.
func with(predicate, changes object) object {
	out := maps.Clone(predicate)
	for name, value := range changes {
		out[name] = value
		if value == nil {
			delete(out, name)
		}
	}
	return out
}

// aged is a document whose gate tests is of that type, and lets a statement be an hour old.
func aged(kind string) *policyv1.Procedure {
	d := document()
	d.Gates = []*policyv1.Gate{{Name: "tests", PredicateType: kind, MaxAge: durationpb.New(time.Hour)}}
	return d
}

// TestStatementsAreDatedByTheTimeOfTheirType and by no other: at step 1, and at the start.
func TestStatementsAreDatedByTheTimeOfTheirType(t *testing.T) {
	for kind, is := range map[string]struct {
		field string
		made  func(at any) object
	}{
		scanType:                    {"metadata.scanFinishedOn", func(at any) object { return scan(at) }},
		oldScanType:                 {"metadata.scanFinishedOn", func(at any) object { return scan(at) }},
		svrType:                     {"timeCreated", func(at any) object { return svr(at, "SLSA_BUILD_LEVEL_3") }},
		vsaType:                     {"timeVerified", func(at any) object { return vsa(at, "SLSA_BUILD_LEVEL_3") }},
		testType:                    {"timestamp", func(at any) object { return object{"timestamp": at} }},
		"https://shop.example/x/v1": {"timestamp", func(at any) object { return object{"timestamp": at} }},
	} {
		old := func(age time.Duration) object { return is.made(now.Add(-age).Format(time.RFC3339Nano)) }
		nothing := "has no " + is.field + ", without which its age is not known"
		for _, test := range []struct {
			name      string
			predicate object
			reason    string
		}{
			{"fresh", old(time.Minute), ""},
			{"exactly as old as allowed", old(time.Hour), ""},
			{"a nanosecond older", old(time.Hour + 1), "is of 2026-12-01T10:59:59Z and older than 1h0m0s"},
			{"of before all time", is.made("0001-01-01T00:00:00Z"), "older than 1h0m0s"},
			{"by a clock that is as far ahead as clocks are", old(-5 * time.Minute), ""},
			{"a nanosecond further ahead", old(-5*time.Minute - 1), "which is in the future"},
			{"in another zone", is.made(now.In(time.FixedZone("", 3*3600)).Format(time.RFC3339)), ""},
			{"no time", is.made(nil), nothing},
			{"a number", is.made(1764590400), nothing},
			{"a list", is.made([]string{now.Format(time.RFC3339)}), nothing},
			{"a day", is.made("2026-12-01"), nothing},
			{"nothing at all", object{}, nothing},
		} {
			t.Run(kind+" "+test.name, func(t *testing.T) {
				d, statement := aged(kind), sign(t, "ci", kind, test.predicate, "web")
				v := evaluate(d, web(), statement)[0]
				if (v.GetStatus() == passed) != (test.reason == "") || !strings.Contains(v.GetReason(), test.reason) {
					t.Errorf("%v: %s", v.GetStatus(), v.GetReason())
				}
				if named := strings.HasSuffix(v.GetRule(), "1h0m0s by "+is.field); named != (is.field != "timestamp") {
					t.Errorf("the rule is %q", v.GetRule())
				}
				state := begins()
				state.Gates[0].Rule = v.GetRule()
				fallen, _ := verdict.Again(state, [][]byte{statement}, now, verdict.Trust{Index: policy.NewIndex(d)})
				if (len(fallen) == 0) != (test.reason == "") || len(fallen) > 0 && !strings.Contains(fallen[0].GetReason(), test.reason) {
					t.Errorf("at the start %v", fallen)
				}
			})
		}
		// A field of the common name says nothing of a type that has its own.
		if is.field != "timestamp" {
			v := evaluate(aged(kind), web(), sign(t, "ci", kind, with(is.made(nil), object{"timestamp": now.Format(time.RFC3339)}), "web"))[0]
			if v.GetStatus() != failed || !strings.Contains(v.GetReason(), nothing) {
				t.Errorf("%s with a timestamp: %v: %s", kind, v.GetStatus(), v.GetReason())
			}
		}
	}
}

// TestWhatWasDatedByItsTimestampStaysSo: the rule on record decides by what a release is
// judged, then, at its replay, and at its start.
func TestWhatWasDatedByItsTimestampStaysSo(t *testing.T) {
	index := policy.NewIndex(aged(svrType))
	stamp := object{"timestamp": now.Format(time.RFC3339), "timeCreated": now.Add(-2 * time.Hour).Format(time.RFC3339)}
	statement := [][]byte{sign(t, "ci", svrType, stamp, "web")}
	request := &releasev1.Request{Artifacts: web(), Environment: "prod"}
	judge := func(stamped bool) *releasev1.GateVerdict {
		return verdict.Evaluate(verdict.Trust{Index: index, Stamped: stamped}, index.Document().GetGates(), request, statement, now)[0]
	}
	then, today := judge(true), judge(false)
	if then.GetStatus() != passed || !strings.HasSuffix(then.GetRule(), ", not older than 1h0m0s") || today.GetStatus() != failed {
		t.Fatal(then, today)
	}
	for _, test := range []struct {
		rule string
		want bool
	}{
		{then.GetRule(), true},
		{today.GetRule(), false},
		{"", false},
		{then.GetRule()[:20] + "…", false}, // cut before it tells
		{today.GetRule()[:len(today.GetRule())-3] + "…", false},
	} {
		on := []*releasev1.GateVerdict{{Gate: "change"}, {Gate: "tests", Rule: test.rule, Status: passed}}
		if got := verdict.Stamped(index, on); got != test.want {
			t.Errorf("%q: %v", test.rule, got)
		}
		state := begins()
		state.Gates = on
		fallen, _ := verdict.Again(state, statement, now, verdict.Trust{Index: index})
		if (len(fallen) == 0) != test.want {
			t.Errorf("%q: at the start %v", test.rule, fallen)
		}
	}
	tests := policy.NewIndex(aged(testType))
	if verdict.Stamped(tests, []*releasev1.GateVerdict{{Gate: "tests", Rule: verdict.Rule(tests.Gate("tests"))}}) {
		t.Error("a type that is dated by its timestamp has no other rule of before")
	}
}
