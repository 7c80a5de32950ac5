package shape_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/shape"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// blanks are texts in which nobody can read anything.
var blanks = []string{" ", "   \t\n", "\u00a0", "\u2003\u3000", "\u200b\u200e\ufeff", "\u2800", "\u3164\u115f", "\u0301", "\x01"}

var readable = []string{"ok", " . ", "✓", "ü", "e\u0301", "理由", "سبب", "1"}

func TestBlank(t *testing.T) {
	for _, text := range append([]string{""}, blanks...) {
		if !shape.Blank(text) {
			t.Errorf("%q is taken for a reason", text)
		}
	}
	for _, text := range readable {
		if shape.Blank(text) {
			t.Errorf("%q is taken for nothing", text)
		}
	}
}

// TestTheContractWantsTextThatCanBeRead: what is on record is there for good.
func TestTheContractWantsTextThatCanBeRead(t *testing.T) {
	release := "shop-k7q2m3xw5d8ta4bc"
	for field, message := range map[string]func(text string) proto.Message{
		"reason":                 func(text string) proto.Message { return &approvalv1.RejectRequest{Release: release, Reason: text} },
		"reason of a withdrawal": func(text string) proto.Message { return &approvalv1.WithdrawRequest{Release: release, Reason: text} },
		"reason of an approval's withdrawal": func(text string) proto.Message {
			return &approvalv1.WithdrawApprovalRequest{Release: release, Reason: text}
		},
		"reason of a pause":      func(text string) proto.Message { return &approvalv1.PauseRequest{Release: release, Reason: text} },
		"reason of a resumption": func(text string) proto.Message { return &approvalv1.ResumeRequest{Release: release, Reason: text} },
		"what was seen": func(text string) proto.Message {
			return &approvalv1.SignOffRequest{Release: release, Check: "ledger", Comment: text}
		},
		"a question": func(text string) proto.Message {
			return &releasev1.SignOffProbe{Question: text, Groups: []string{"qa"}}
		},
		"reason of an abort": func(text string) proto.Message { return &approvalv1.AbortRequest{Release: release, Reason: text} },
		"reason of an intervention": func(text string) proto.Message {
			return &approvalv1.InterveneRequest{Release: release, Action: releasev1.Intervened_ACTION_ACCEPT, Reason: text}
		},
		"residual risk": func(text string) proto.Message {
			return &approvalv1.CompleteReviewRequest{Release: release, Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED, ResidualRisk: text}
		},
		"plan": func(text string) proto.Message {
			return &releasev1.Plan{Description: text, Waves: []*releasev1.Wave{{Targets: []string{"a"}}}}
		},
		"way back": func(text string) proto.Message {
			return &releasev1.RollbackPlan{Strategy: releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION, Description: text}
		},
		"recovery": func(text string) proto.Message {
			return &releasev1.RollbackPlan{Strategy: releasev1.RollbackPlan_STRATEGY_NONE, Description: "none", Recovery: text}
		},
		"a person's name": func(text string) proto.Message { return &policyv1.Person{Id: "mia", Name: text} },
	} {
		for _, text := range append([]string{""}, blanks...) {
			if found, err := shape.Check(message(text)); err != nil || len(found) != 1 {
				t.Errorf("%s %q: %v, %v", field, text, found, err)
			}
		}
		for _, text := range readable {
			if found, err := shape.Check(message(text)); err != nil || len(found) > 0 {
				t.Errorf("%s %q: %v, %v", field, text, found, err)
			}
		}
	}
}

func TestWhatIsMissingIsCalledThat(t *testing.T) {
	found, err := shape.Check(&releasev1.Artifact{Name: "Web", Digest: "sha256:1"})
	if err != nil {
		t.Fatal(err)
	}
	want := []shape.Violation{
		{Field: "name", Rule: "string.pattern", Message: "does not match regex pattern `^[a-z][a-z0-9-]{0,39}$`"},
		{Field: "kind", Rule: "required", Message: "required: one of ARTIFACT_KIND_FILE, ARTIFACT_KIND_OCI_IMAGE, " +
			"ARTIFACT_KIND_HELM_CHART, ARTIFACT_KIND_TERRAFORM_PLAN, ARTIFACT_KIND_TERRAFORM_MODULE, ARTIFACT_KIND_ARCHIVE, ARTIFACT_KIND_CONFIGURATION, ARTIFACT_KIND_TERRAFORM_PLAN_JSON"},
		{Field: "location", Rule: "required", Message: "required"},
		{Field: "digest", Rule: "digest.sha256", Message: "digest required: sha256: and 64 lower-case hexadecimal digits"},
	}
	if !slices.Equal(found, want) {
		t.Errorf("got %v", found)
	}
}
