package approvaltest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ProcedureID is the id of the document.
const ProcedureID = "PROC-TEST-001"

// Key is the private key of a key id of the document.
func Key(id string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("shipwarden test key " + id))
	return ed25519.NewKeyFromSeed(seed[:])
}

// PublicKey belongs to Key.
func PublicKey(id string) []byte {
	public, _ := Key(id).Public().(ed25519.PublicKey)
	return public
}

// Document returns a procedure document that fits the requests and the people of
// package proceduretest, changed by the given functions. Rita asks, Otto owns, Ada
// writes; Anna, Ben, Cleo and Dan approve, Eve commands incidents, Gina operates, Hugo
// has left.
func Document(changes ...func(*policyv1.Procedure)) *policyv1.Procedure {
	d := &policyv1.Procedure{
		Id: ProcedureID, Version: "1.0",
		People: []*policyv1.Person{
			{Id: "anna", Name: "Anna", Aliases: []string{"anna@shop.example"}},
			{Id: "ben", Name: "Ben"},
			{Id: "cleo", Name: "Cleo"},
			{Id: "dan", Name: "Dan"},
			{Id: "eve", Name: "Eve"},
			{Id: "finn", Name: "Finn"},
			{Id: "gina", Name: "Gina"},
			{Id: "rita", Name: "Rita", Aliases: []string{"Rita@Shop.example", "rr"}},
			{Id: "otto", Name: "Otto"},
			{Id: "ada", Name: "Ada"},
			{Id: "alan", Name: "Alan"},
			{Id: "hugo", Name: "Hugo", Inactive: true},
			{Id: "ci-bot", Name: "Pipeline", Machine: true},
		},
		Groups: []*policyv1.Group{
			{Name: "release-managers", Members: []string{"anna", "cleo", "dan", "rita", "otto"}},
			{Name: "security", Members: []string{"ben", "cleo", "ada", "alan"}},
			{Name: "incident-commanders", Members: []string{"eve", "otto"}},
			{Name: "developers", Members: []string{"otto", "ada"}},
			{Name: "operators", Members: []string{"gina"}},
		},
		Keys: []*policyv1.Key{
			{Id: "ci", Ed25519: PublicKey("ci"), Gates: []string{"tests"}, Services: []string{"shop"}},
			{Id: "billing-ci", Ed25519: PublicKey("billing-ci"), Services: []string{"billing"}},
		},
		Environments: []*policyv1.Environment{{
			Name: "production", RequireNotice: true, SupersedeOlder: true,
			Approvals: []*policyv1.Approvals{{Group: "release-managers", Count: 1}, {Group: "security", Count: 1}},
		}, {
			Name:      "staging",
			Approvals: []*policyv1.Approvals{{Group: "release-managers", Count: 1}},
		}},
		Services: []*policyv1.Service{
			{Name: "shop", OwnerGroups: []string{"developers"}, Dependencies: []string{"billing"}},
			{Name: "billing", OwnerGroups: []string{"developers"}},
		},
		Targets: []*policyv1.Target{
			target("eu1"), target("us1", "acme"), target("us2"),
			{Id: "old1", Environment: "production", Services: []string{"shop"}, Driver: "noop", Kinds: files, Retired: true},
			{Id: "stage1", Environment: "staging", Services: []string{"shop"}, Driver: "noop", Kinds: files},
			{Id: "bill1", Environment: "production", Services: []string{"billing"}, Driver: "noop", Kinds: files},
		},
		Gates: []*policyv1.Gate{{
			Name: "tests", Title: "Tests passed", PredicateType: TestType, Field: "result", Values: []string{"PASSED"}, Bypassable: true,
		}},
		HighRiskAreas: []string{"authentication"},
		Channels: []*policyv1.Channel{
			{Name: "ops", Occasions: occasions, Required: true}, {Name: "chat", Occasions: occasions},
		},
		Deadlines: &policyv1.Deadlines{
			StartWithin: durationpb.New(72 * time.Hour), ApproveWithin: durationpb.New(24 * time.Hour),
			ApprovalValid: durationpb.New(12 * time.Hour), Step: durationpb.New(10 * time.Minute),
			Execute: durationpb.New(30 * time.Minute), Verify: durationpb.New(5 * time.Minute),
			Decision: durationpb.New(4 * time.Hour), Recheck: durationpb.New(time.Minute),
		},
		Emergency: &policyv1.EmergencyLane{
			Group: "incident-commanders", ReviewGroup: "security",
			ReviewWithin: durationpb.New(48 * time.Hour), Grace: durationpb.New(24 * time.Hour),
		},
		Escalation: &policyv1.Escalation{Rungs: []*policyv1.Rung{
			{Group: "operators", AcknowledgeWithin: durationpb.New(10 * time.Minute)},
			{Group: "incident-commanders", AcknowledgeWithin: durationpb.New(15 * time.Minute)},
		}},
		OperatorsGroup:      "operators",
		NoRollbackApprovals: []*policyv1.Approvals{{Group: "release-managers", Count: 2}},
		HighRiskApprovals:   []*policyv1.Approvals{{Group: "security", Count: 2}},
	}
	for _, change := range changes {
		change(d)
	}
	return d
}

// TestType is the type of the statements that the gate demands.
const TestType = "https://in-toto.io/attestation/test-result/v0.1"

var occasions = []releasev1.Occasion{
	releasev1.Occasion_OCCASION_START, releasev1.Occasion_OCCASION_END, releasev1.Occasion_OCCASION_ROLLBACK,
	releasev1.Occasion_OCCASION_ESCALATION, releasev1.Occasion_OCCASION_EMERGENCY,
}

var files = []releasev1.ArtifactKind{releasev1.ArtifactKind_ARTIFACT_KIND_FILE}

func target(id string, customers ...string) *policyv1.Target {
	return &policyv1.Target{
		Id: id, Environment: "production", Services: []string{"shop"}, Driver: "noop", Kinds: files, Customers: customers,
	}
}
