package intake_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// fleet adds targets to the procedure document, with names as long as they may be, and
// returns their ids.
func fleet(size int) (ids []string, change func(*policyv1.Procedure)) {
	for i := range size {
		ids = append(ids, fmt.Sprintf("%063d", i))
	}
	return ids, func(d *policyv1.Procedure) {
		for _, id := range ids {
			d.Targets = append(d.Targets, &policyv1.Target{
				Id: id, Environment: "production", Services: []string{"shop"}, Driver: "noop",
				Kinds: []releasev1.ArtifactKind{releasev1.ArtifactKind_ARTIFACT_KIND_FILE, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN},
			})
		}
	}
}

func inWaves(ids []string, each int) func(*releasev1.Request) {
	var waves [][]string
	for len(ids) > 0 {
		n := min(each, len(ids))
		waves, ids = append(waves, ids[:n]), ids[n:]
	}
	return proceduretest.Waves(waves...)
}

func checks(n int) []*releasev1.Check {
	var out []*releasev1.Check
	for i := range n {
		out = append(out, &releasev1.Check{Name: fmt.Sprintf("c%d", i), Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}})
	}
	return out
}

// secured are checks of all controls of security, each of which has six results.
func secured(n int) (out []*releasev1.Check) {
	for i := range n {
		out = append(out, &releasev1.Check{Name: fmt.Sprintf("s%d", i), Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
			Workloads:    &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}},
			ImageDigests: &releasev1.KubernetesImageControl{}, PodSecurity: &releasev1.KubernetesPodControl{Level: releasev1.KubernetesPodControl_LEVEL_RESTRICTED},
			NetworkPolicy: &releasev1.KubernetesNetworkControl{Ingress: true}, Exposure: &releasev1.KubernetesExposureControl{},
			ServiceAccount: &releasev1.KubernetesAccountControl{}, PlainSecrets: &releasev1.KubernetesSecretControl{},
		}}})
	}
	return out
}

// TestARequestThatLaterEventsCannotHoldIsRefused: each is in shape and small, and what
// later steps record of it grows with the number of targets, or with the product of
// checks and targets.
func TestARequestThatLaterEventsCannotHoldIsRefused(t *testing.T) {
	ids, add := fleet(60)
	r := newRig(t, add)
	validation := func(n int) func(*releasev1.Request) {
		return func(q *releasev1.Request) { q.Validation.Checks = checks(n) }
	}
	rollback := func(n int) func(*releasev1.Request) {
		return func(q *releasev1.Request) { q.RollbackPlan.Checks = checks(n) }
	}
	artifacts := func(q *releasev1.Request) {
		for i := range 15 {
			q.Artifacts = append(q.Artifacts, &releasev1.Artifact{
				Name: fmt.Sprintf("a%d", i), Kind: q.GetArtifacts()[0].GetKind(), Digest: q.GetArtifacts()[0].GetDigest(),
				Location: strings.Repeat("a", 512),
			})
		}
	}
	plans := func(n int) func(*releasev1.Request) {
		return func(q *releasev1.Request) {
			for i := range n {
				q.Artifacts = append(q.Artifacts, &releasev1.Artifact{
					Name: fmt.Sprintf("p%d", i), Kind: releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN, Digest: q.GetArtifacts()[0].GetDigest(), Location: "p",
				})
			}
		}
	}
	for _, test := range []struct {
		name    string
		changes []change
		field   string
		says    string
	}{
		{"targets of all waves together", []change{inWaves(ids[:48], 4)}, "plan.waves", "48 targets beside 1 artifacts"},
		{"as many as fit", []change{inWaves(ids[:30], 4)}, "", ""},
		{"as many, beside artifacts in long places", []change{inWaves(ids[:30], 4), artifacts}, "plan.waves", "30 targets beside 16 artifacts"},
		{"as many plans as fit", []change{inWaves(ids[:2], 4), plans(4)}, "", ""},
		{"more plans", []change{inWaves(ids[:2], 4), plans(9)}, "plan.waves", "2 targets beside 10 artifacts"},
		{"checks on the targets of a wave", []change{inWaves(ids[:4], 4), validation(120), rollback(1)}, "validation.checks", "120 checks, the catalog's among them, on a wave of 4 targets"},
		{"controls, each of which has a result", []change{inWaves(ids[:4], 4), func(q *releasev1.Request) {
			q.Validation.Checks = secured(20)
		}, rollback(1)}, "validation.checks", "120 checks, the catalog's among them, on a wave of 4 targets"},
		{"as many checks, target after target", []change{inWaves(ids[:4], 1), validation(120), rollback(1)}, "", ""},
		{"which are those of the way back, too", []change{inWaves(ids[:4], 1), validation(120)}, "validation.checks", "120 checks, the catalog's among them, on all 4 targets after a rollback"},
		{"checks of the way back", []change{inWaves(ids[:4], 1), rollback(120)}, "rollback_plan.checks", "120 checks, the catalog's among them, on all 4 targets after a rollback"},
		{"all that a request may hold", []change{inWaves(ids, 32), validation(200), rollback(200)}, "plan.waves", "60 targets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := r.ask(t, append(test.changes, proceduretest.Key(regexp.MustCompile(`\W`).ReplaceAllString(test.name, "-")))...)
			if test.field == "" {
				if a.GetOutcome() != accepted {
					t.Errorf("%v", a)
				}
				return
			}
			said := ""
			for _, v := range a.GetViolations() {
				if v.GetField() == test.field && strings.HasSuffix(v.GetRule(), ".room") {
					said += v.GetMessage()
				}
			}
			if a.GetOutcome() != refused || !strings.Contains(said, test.says) || !strings.Contains(said, "one event holds 60416") {
				t.Errorf("%v", a)
			}
		})
	}
}
