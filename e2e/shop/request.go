package shop

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/attest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Request is a good request for a version, by CI on behalf of alice, written by
// bob and reviewed by alice, in two waves. Changes are made to it before it is sent.
func (w *World) Request(a Artifact, key string) (*releasev1.Request, error) {
	evidence, err := w.Evidence(a)
	if err != nil {
		return nil, err
	}
	r := &releasev1.Request{
		IdempotencyKey: key, Service: "shop", Environment: "production", Trigger: releasev1.Trigger_TRIGGER_PLANNED,
		Version: a.Version, ChangeRecord: &releasev1.ChangeRecord{System: "jira", Id: "CHG-" + key},
		Artifacts: []*releasev1.Artifact{{
			Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: a.Location, Digest: a.Digest,
		}},
		Owner: "alice", Requester: "ci-bot", Authors: []string{"bob"},
		Plan: &releasev1.Plan{Description: "Place version " + a.Version + " on Europe first, then on America."},
		RollbackPlan: &releasev1.RollbackPlan{
			Strategy:    releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION,
			Description: "Switch back to the version before.",
			Recovery:    "Where nothing ran before: take the target out of the load balancer.",
		},
		Validation: &releasev1.Validation{
			Checks: []*releasev1.Check{{
				Name:  "front-page",
				Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/", ExpectBody: a.Version}},
			}},
			Bake: durationpb.New(2 * time.Second), Interval: durationpb.New(200 * time.Millisecond),
		},
		Risk:     &releasev1.Risk{Data: releasev1.Risk_DATA_UNCHANGED, Description: "None known."},
		Evidence: evidence,
	}
	for _, t := range w.Targets {
		r.Plan.Waves = append(r.GetPlan().GetWaves(), &releasev1.Wave{Targets: []string{t}})
	}
	return r, nil
}

// Evidence is what the systems around the shop say about an artifact.
func (w *World) Evidence(a Artifact) ([][]byte, error) {
	var all [][]byte
	for _, gate := range []string{"code-review", "tests", "provenance"} {
		e, err := w.Attest(gate, a)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// Attest is what the system that is trusted for a gate says about an artifact.
func (w *World) Attest(gate string, a Artifact) ([]byte, error) {
	s := attest.Statement{Subjects: []attest.Subject{{Name: a.Location, Digest: a.Digest}}}
	system := ""
	switch gate {
	case "code-review":
		system, s.PredicateType = "review-system", "https://github.com/blackdice/shipwarden/predicate/code-review/v1"
		s.Predicate = map[string]any{"result": "approved", "authors": []string{"bob"}, "reviewers": []string{"alice"}}
	case "tests":
		system, s.PredicateType = "ci-tests", "https://in-toto.io/attestation/test-result/v0.1"
		s.Predicate = map[string]any{"result": "PASSED", "timestamp": time.Now().UTC().Format(time.RFC3339)}
	case "provenance":
		system, s.PredicateType = "ci-builder", "https://slsa.dev/provenance/v1"
		s.Predicate = map[string]any{"runDetails": map[string]any{"builder": map[string]any{"id": "https://ci.shop.example/builder"}}}
	default:
		return nil, fmt.Errorf("nobody attests %q", gate)
	}
	return attest.Sign(s, system, w.keys[system])
}
