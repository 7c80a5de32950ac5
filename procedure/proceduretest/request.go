package proceduretest

import (
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ProcedureDigest stands for the procedure document that the histories run under.
var ProcedureDigest = Digest('d')

// Digest returns a well-formed digest that is made of one hexadecimal digit.
func Digest(digit byte) string { return "sha256:" + strings.Repeat(string(digit), 64) }

// Request returns a valid request for a planned release of one artifact to one
// target, changed by the given functions. Every call returns a new message.
func Request(changes ...func(*releasev1.Request)) *releasev1.Request {
	r := &releasev1.Request{
		IdempotencyKey: "ci-4711",
		Service:        "shop",
		Environment:    "production",
		Trigger:        releasev1.Trigger_TRIGGER_PLANNED,
		Version:        "1.4.2",
		ChangeRecord:   &releasev1.ChangeRecord{System: "jira", Id: "CHG-1042"},
		Artifacts: []*releasev1.Artifact{{
			Name: "shop", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: "shop/1.4.2/shop.tar.gz", Digest: Digest('a'),
		}},
		Owner:     "otto",
		Requester: "rita",
		Authors:   []string{"ada"},
		Plan: &releasev1.Plan{
			Description: "Replace the shop, one region after the other.",
			Waves:       []*releasev1.Wave{{Targets: []string{"eu1"}}},
		},
		RollbackPlan: &releasev1.RollbackPlan{
			Strategy:    releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION,
			Description: "Place the previous version again.",
		},
		Validation: &releasev1.Validation{
			Checks: []*releasev1.Check{{
				Name: "health", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/healthz"}},
			}},
			Bake:     durationpb.New(2 * time.Minute),
			Interval: durationpb.New(10 * time.Second),
		},
		Risk: &releasev1.Risk{Data: releasev1.Risk_DATA_UNCHANGED, Description: "The shop may be slow for a minute."},
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

// Waves sets the plan's waves.
func Waves(waves ...[]string) func(*releasev1.Request) {
	return func(r *releasev1.Request) {
		r.Plan.Waves = nil
		for _, targets := range waves {
			r.Plan.Waves = append(r.Plan.Waves, &releasev1.Wave{Targets: targets})
		}
	}
}

// Key sets the idempotency key, and so the release.
func Key(key string) func(*releasev1.Request) {
	return func(r *releasev1.Request) { r.IdempotencyKey = key }
}

// Emergency puts the request into the emergency lane.
func Emergency(r *releasev1.Request) {
	r.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY
	r.Emergency = &releasev1.Emergency{Reason: "Orders are lost since 02:10.", Incident: "INC-77"}
}

// Rollback makes it a request to take another release back.
func Rollback(r *releasev1.Request) {
	r.Trigger = releasev1.Trigger_TRIGGER_ROLLBACK
	r.RollbackOf = "shop-aaaaaaaaaaaaaaaa"
}

// Irreversible says that data is changed for good.
func Irreversible(r *releasev1.Request) { r.Risk.Data = releasev1.Risk_DATA_IRREVERSIBLE }

// Timeouts returns the deadlines of the machine's steps in the histories.
func Timeouts() *releasev1.Timeouts {
	return &releasev1.Timeouts{
		Step: durationpb.New(10 * time.Minute), Execute: durationpb.New(30 * time.Minute),
		Verify: durationpb.New(5 * time.Minute), Decision: durationpb.New(4 * time.Hour),
	}
}

func clone[M proto.Message](m M) M { return proto.CloneOf(m) }
