package whatif

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// away is a store of evidence that does not answer.
type away struct{}

func (away) Get(context.Context, string) ([]byte, error) { return nil, errors.New("no answer") }

// TestWhatAHeldStartWasToldIsTheNewer: the window that the executor read last counts, and
// where nothing of it is known, or the evidence cannot be read, that is said and forbids
// nothing.
func TestWhatAHeldStartWasToldIsTheNewer(t *testing.T) {
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	index := policy.NewIndex(&policyv1.Procedure{
		ChangeRecords: []*policyv1.ChangeRecordRule{{Name: "change-record", Connector: "jira", System: "jira", IdPattern: "CHG-[0-9]+", States: []string{"open"}}},
		Gates:         []*policyv1.Gate{{Name: "tests", PredicateType: "t"}},
	})
	s := procedure.State{
		Request:   &releasev1.Request{ChangeRecord: &releasev1.ChangeRecord{System: "jira", Id: "CHG-1"}, Artifacts: []*releasev1.Artifact{{Name: "shop"}}},
		Requested: &releasev1.Requested{Evidence: []*releasev1.EvidenceRef{{Digest: "sha256:aa"}}},
		Confirmed: &releasev1.GatesConfirmed{},
		Gates: []*releasev1.GateVerdict{
			{Gate: "tests", Status: releasev1.GateVerdict_STATUS_PASSED},
			{Gate: "change-record", Status: releasev1.GateVerdict_STATUS_PASSED, Evidence: []string{"sha256:bb"}},
		},
		Phase: procedure.PhaseHeld, HeldFor: procedure.PhaseExecute,
		Holds: []*releasev1.HoldReason{{Rule: changerecord.RuleWindow, Subject: "change-record", Until: timestamppb.New(now.Add(2 * time.Hour))}},
	}
	desk := New(nil, nil, away{}, World{})
	begin := func() (rules string, earliest *timestamppb.Timestamp) {
		t.Helper()
		documents := []*policy.Index{index}
		o, err := Begin(documents, s, desk.Known(t.Context(), documents, s, now), now)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, h := range o.GetHolds() {
			all = append(all, h.GetRule())
		}
		return strings.Join(all, " "), o.GetEarliestStart()
	}
	if rules, from := begin(); rules != changerecord.RuleWindow+" evidence.unknown" || !from.AsTime().Equal(now.Add(2*time.Hour)) {
		t.Errorf("held by the window: %s, from %v", rules, from.AsTime())
	}
	s.Phase = procedure.PhaseApprove
	if rules, from := begin(); rules != changerecord.RuleUnknown+" evidence.unknown" || !from.AsTime().Equal(now) {
		t.Errorf("nothing can be read: %s, from %v", rules, from.AsTime())
	}
	s.Gates[1].Evidence, s.Confirmed = nil, nil
	if rules, from := begin(); rules != "" || !from.AsTime().Equal(now) {
		t.Errorf("nothing was judged yet: %s, from %v", rules, from.AsTime())
	}
}
