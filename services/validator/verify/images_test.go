package verify_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// runs is a cluster whose pods run one image.
type runs string

func (r runs) Probe(context.Context, *target.Target, *releasev1.Check) check.Observation {
	return check.Observation{Inspected: &check.Inspected{Asked: time.Now(), Objects: 1, Facts: []check.Fact{
		{Object: "Pod/shop", Name: "image of container web", Value: string(r)},
	}}}
}

// TestTheImagesThatMayRunAreThoseOfWhatIsLookedAt: of the release on the way forth, and on the way
// back of the release that ran before. Whoever changes production is not asked for either. What is
// derived again from the evidence is the same.
func TestTheImagesThatMayRunAreThoseOfWhatIsLookedAt(t *testing.T) {
	image := func(digest string) func(*releasev1.Request) {
		return func(r *releasev1.Request) {
			r.Artifacts = append(r.Artifacts, &releasev1.Artifact{
				Name: "image", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, Location: "registry.example/shop", Digest: digest,
			})
			r.Validation.Checks = append(r.Validation.Checks, &releasev1.Check{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{
				KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
					Workloads: &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}}, ImageDigests: &releasev1.KubernetesImageControl{},
				},
			}})
		}
	}
	older, newer := proceduretest.Digest('1'), proceduretest.Digest('2')
	for _, test := range []struct {
		name  string
		phase procedure.Phase
		runs  string
		// known says that the release before is on record.
		known bool
		want  releasev1.CheckResult_Verdict
	}{
		{"forth, the new one", procedure.PhaseVerify, newer, true, pass},
		{"forth, the old one still", procedure.PhaseVerify, older, true, fail},
		{"back, the old one", procedure.PhaseVerifyRollback, older, true, pass},
		{"back, the new one still", procedure.PhaseVerifyRollback, newer, true, fail},
		{"back, to what no release placed", procedure.PhaseVerifyRollback, older, false, inconclusive},
	} {
		t.Run(test.name, func(t *testing.T) {
			running := released
			if test.phase == procedure.PhaseVerifyRollback {
				running = before
			}
			r := newRig(t, "", map[string]*place{"eu1": newPlace(t, running)}, image(older))
			r.cluster = runs(test.runs)
			r.to(t, procedure.PhasePreview)
			first := r.id

			r.asked = proceduretest.Request(bake(time.Second, 100*time.Millisecond), proceduretest.Key("next"), image(newer))
			r.id = procedure.ReleaseID(r.asked.GetEnvironment(), r.asked.GetService(), r.asked.GetIdempotencyKey())
			r.to(t, procedure.PhaseScope)
			scoped := proceduretest.Scope(r.state(t))
			deployed := scoped.GetScopeValidated().GetTargets()[0].GetState().GetDeployed()
			if deployed.Release = ""; test.known {
				deployed.Release = first
			}
			r.do(t, "", scoped)
			r.to(t, test.phase)
			looked := r.state(t)
			e, err := r.turn(t)
			if err != nil {
				t.Fatal(err)
			}
			v := verification(e)
			if got := results(v)["security.image_digests eu1"]; got.GetVerdict() != test.want {
				t.Errorf("%s (%s), want %s", got.GetVerdict(), got.GetReason(), test.want)
			}
			if passed := e.GetVerificationPassed() != nil; passed != (test.want == pass) {
				t.Errorf("all together: %s", v.GetReason())
			}
			blobs := evidence.New(r.JetStream())
			samples, err := blobs.Get(t.Context(), v.GetSamples().GetDigest())
			if err != nil {
				t.Fatal(err)
			}
			index, err := policy.NewSource(blobs.Get).ByDigest(t.Context(), r.digest)
			if err != nil {
				t.Fatal(err)
			}
			again, err := verify.Rejudge(index, looked, samples, nil, nil, v)
			if err != nil || !proto.Equal(verification(again), v) {
				t.Errorf("derived again: %v, %v, on record is %v", verification(again), err, v)
			}
			forged := strings.ReplaceAll(string(samples), fmt.Sprintf("approved_images\":[%q", newer), fmt.Sprintf("approved_images\":[%q", older))
			if _, err := verify.Rejudge(index, looked, []byte(forged), nil, nil, v); test.phase == procedure.PhaseVerify && err == nil {
				t.Error("images that were not approved are taken for those of the release")
			}
		})
	}
}
