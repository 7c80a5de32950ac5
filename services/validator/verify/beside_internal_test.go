package verify

import (
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/envelope"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// TestAControlOfSecurityIsNotLookedForElsewhere: the images of others are not those of the
// release, and a hole that others have as well is no reason to leave this one open.
func TestAControlOfSecurityIsNotLookedForElsewhere(t *testing.T) {
	healthy := &releasev1.Check{Name: "healthy", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/healthz"}}}
	images := &releasev1.Check{Name: "security.image_digests", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{}}}
	failed := func(names ...string) *releasev1.Verification {
		v := &releasev1.Verification{}
		for _, name := range names {
			v.Results = append(v.Results, &releasev1.CheckResult{Check: name, Target: "eu1", Verdict: releasev1.CheckResult_VERDICT_FAIL})
		}
		return v
	}
	all := []*releasev1.Check{healthy, images}
	if got := besideChecks(all, failed("healthy")); len(got) != 1 || got[0].GetName() != "healthy" {
		t.Errorf("looked for elsewhere is %v", got)
	}
	if got := besideChecks(all, failed("healthy", "security.image_digests")); got != nil {
		t.Errorf("looked for elsewhere is %v", got)
	}
}

// TestWhatWasSeenBesideLeavesRoomForTheEndOfTheStep whatever a request has of checks.
func TestWhatWasSeenBesideLeavesRoomForTheEndOfTheStep(t *testing.T) {
	results := func(n int) (all []*releasev1.CheckResult) {
		for range n {
			all = append(all, &releasev1.CheckResult{Check: "healthy", Target: "eu1", Reason: strings.Repeat("r", 500)})
		}
		return all
	}
	small, large := results(30), results(envelope.MaxBody/520-20)
	if !fits(&releasev1.Verification{Results: small}, &releasev1.Beside{Results: small}) {
		t.Error("what fits is left out")
	}
	if fits(&releasev1.Verification{Results: large}, &releasev1.Beside{Results: small}) {
		t.Error("it takes the room of the end of the step")
	}
}

// TestATargetOfWhichNobodyKnowsWhatItRunsLeavesItOpen: one that does not answer, or that runs
// something else, is not left out, so that the others would speak for it.
func TestATargetOfWhichNobodyKnowsWhatItRunsLeavesItOpen(t *testing.T) {
	const (
		pass = releasev1.CheckResult_VERDICT_PASS
		fail = releasev1.CheckResult_VERDICT_FAIL
		open = releasev1.CheckResult_VERDICT_INCONCLUSIVE
	)
	result := func(name, target string, v releasev1.CheckResult_Verdict) *releasev1.CheckResult {
		return &releasev1.CheckResult{Check: name, Target: target, Verdict: v}
	}
	known := []*releasev1.CheckResult{result(check.RuleDigest, "us1", pass), result("healthy", "us1", fail)}
	if got := besideOf(&releasev1.Verification{Results: known}); len(got.GetResults()) != 1 {
		t.Errorf("of one that is known: %v", got)
	}
	for _, runs := range []releasev1.CheckResult_Verdict{fail, open} {
		all := append(slices.Clone(known), result(check.RuleDigest, "us2", runs), result("healthy", "us2", open))
		if got := besideOf(&releasev1.Verification{Results: all}); got != nil {
			t.Errorf("what the other runs: %s, and what was seen is %v", runs, got)
		}
	}
}
