package digest

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// recorded is an event of a person on record.
func recorded(e *releasev1.Event) view.Recorded {
	if e.GetAggregate() == "" {
		e.Aggregate = "rel.shop-1"
	}
	return view.Recorded{Entry: procedure.Entry{Sequence: 7, Stored: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC), Event: e}}
}

func person(id string) *releasev1.Actor {
	return &releasev1.Actor{Id: id, Kind: releasev1.Actor_KIND_HUMAN, Method: "token"}
}

// TestWhateverAPersonDoesIsTold covers every type of event that there is and that will be:
// what is in a person's name is told in a sentence.
func TestWhateverAPersonDoesIsTold(t *testing.T) {
	kinds := (&releasev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("data").Fields()
	for i := range kinds.Len() {
		field := kinds.Get(i)
		e := &releasev1.Event{Actor: person("anna")}
		e.ProtoReflect().Set(field, protoreflect.ValueOfMessage(e.ProtoReflect().NewField(field).Message()))
		got := entries(recorded(e), ledger.Of{Release: "shop-1"})
		if len(got) != 1 || got[0].name != "anna" || got[0].What == "" || strings.Contains(got[0].What, "\n") {
			t.Errorf("%s: %+v", field.Name(), got)
		}
		if got := entries(recorded(&releasev1.Event{Data: e.GetData()}), ledger.Of{}); len(got) != 0 {
			t.Errorf("%s of nobody: %+v", field.Name(), got)
		}
	}
}

func TestWhatIsOnRecordInSomebodysName(t *testing.T) {
	pol := func(e *releasev1.Event) *releasev1.Event {
		e.Aggregate = procedure.ProcedureAggregate("PROC-1")
		return e
	}
	proposal := &releasev1.ProcedureProposal{Number: 3, Version: "2.0", Reason: "more"}
	delegation := &releasev1.Delegation{Person: "anna", StandIn: "ben", Reason: "leave"}
	clearance := &releasev1.Quarantine{Digest: "sha256:a", Clearance: &releasev1.Clearance{Reason: "mended", Comment: "seen"}}
	for name, test := range map[string]struct {
		event *releasev1.Event
		want  map[string]string // what, by whose it is
		notes string
	}{
		"an approval with a key, on call": {
			&releasev1.Event{Actor: &releasev1.Actor{Id: "anna", Kind: releasev1.Actor_KIND_HUMAN, OnCall: []*releasev1.Shift{{Group: "sre"}}}, Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
				ChangeDigest: "sha256:c", Comment: "fine\nby me", Signature: &releasev1.ApprovalSignature{Armored: "x"},
			}}},
			map[string]string{"anna": "approved by anna, on call for sre"},
			"signed: yes, with a key; the executor verifies it",
		},
		"an approval with an identity": {
			&releasev1.Event{Actor: person("anna"), Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
				Signature: &releasev1.ApprovalSignature{Bundle: "x", Identity: &releasev1.SignerIdentity{Subject: "a@b", Issuer: "https://i"}},
			}}},
			map[string]string{"anna": "approved by anna, signed as a@b of https://i"},
			"signed: yes, as a@b of https://i; the executor verifies it",
		},
		"a stand-in": {
			&releasev1.Event{Actor: person("ben"), Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{StandIn: &releasev1.StandIn{Person: "anna"}}}},
			map[string]string{"ben": "approved by ben in place of anna", "anna": "approved in your place by ben"},
			"in place of: anna",
		},
		"an exception": {
			&releasev1.Event{Actor: person("anna"), Data: &releasev1.Event_FreezeOverridden{FreezeOverridden: &releasev1.FreezeOverridden{Freeze: "xmas", Ticket: "T-1", Reason: "must"}}},
			map[string]string{"anna": "exception of freeze xmas by anna, T-1: must"},
			"signed: no",
		},
		"a stand-in was named by somebody else": {
			pol(&releasev1.Event{Actor: person("otto"), Data: &releasev1.Event_DelegationsChanged{DelegationsChanged: &releasev1.DelegationsChanged{Changed: delegation, Revoked: true, Reason: "back"}}}),
			map[string]string{"otto": "ben is no stand-in of anna any more: back", "anna": "ben is no stand-in of anna any more: back"},
			"signed: no",
		},
		"a decision that was refused": {
			&releasev1.Event{Actor: &releasev1.Actor{Id: "approval", Kind: releasev1.Actor_KIND_SERVICE}, Data: &releasev1.Event_RequestRefused{RequestRefused: &releasev1.RequestRefused{
				Decision: &releasev1.RefusedDecision{Person: "anna", Action: "Approve", Release: "shop-1"},
			}}},
			map[string]string{"anna": "tried to decide (Approve) on release shop-1, and was refused"},
			"",
		},
		"a proposal":   {pol(&releasev1.Event{Actor: person("anna"), Data: &releasev1.Event_ProcedureProposed{ProcedureProposed: &releasev1.ProcedureProposed{Proposal: proposal}}}), map[string]string{"anna": "version 2.0 of procedure proc-1 proposed, proposal 3: more"}, ""},
		"a document":   {pol(&releasev1.Event{Actor: person("anna"), Data: &releasev1.Event_ProcedureApproved{ProcedureApproved: &releasev1.ProcedureApproved{Proposal: 3, Comment: "yes"}}}), map[string]string{"anna": "proposal 3 of procedure proc-1 approved: yes"}, ""},
		"took it back": {pol(&releasev1.Event{Actor: person("anna"), Data: &releasev1.Event_ProcedureApprovalWithdrawn{ProcedureApprovalWithdrawn: &releasev1.ProcedureApprovalWithdrawn{Proposal: 3}}}), map[string]string{"anna": "approval of proposal 3 of procedure proc-1 taken back"}, ""},
		"closed it":    {pol(&releasev1.Event{Actor: person("anna"), Data: &releasev1.Event_ProcedureProposalClosed{ProcedureProposalClosed: &releasev1.ProcedureProposalClosed{Proposal: 3, Result: releasev1.ProcedureProposalClosed_RESULT_REJECTED}}}), map[string]string{"anna": "proposal 3 of procedure proc-1 rejected"}, ""},
		"activated it": {pol(&releasev1.Event{Actor: person("anna"), Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{Version: "2.0"}}}), map[string]string{"anna": "version 2.0 of procedure proc-1 put into effect"}, ""},
		"says to be her": {
			pol(&releasev1.Event{Actor: &releasev1.Actor{Id: "approval", Kind: releasev1.Actor_KIND_SERVICE}, Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{Version: "2.0", ClaimedBy: "anna"}}}),
			map[string]string{"anna": "version 2.0 of procedure proc-1 put into effect, and names you as the administrator who did"},
			"",
		},
		"asks for a clearance": {&releasev1.Event{Aggregate: "art.sha256-a", Actor: person("anna"), Data: &releasev1.Event_ClearanceProposed{ClearanceProposed: &releasev1.ClearanceProposed{State: clearance}}}, map[string]string{"anna": "asked to let artifact sha256:a out of quarantine: mended"}, ""},
		"clears":               {&releasev1.Event{Aggregate: "art.sha256-a", Actor: person("anna"), Data: &releasev1.Event_QuarantineCleared{QuarantineCleared: &releasev1.QuarantineCleared{State: clearance}}}, map[string]string{"anna": "artifact sha256:a let out of quarantine: seen"}, ""},
	} {
		got := map[string]string{}
		var notes []string
		for _, m := range entries(recorded(proto.CloneOf(test.event)), ledger.Of{Release: "shop-1"}) {
			got[m.name] = m.What
			for _, n := range m.Notes {
				notes = append(notes, n[0]+": "+n[1])
			}
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: %v", name, got)
		}
		for who, what := range test.want {
			if got[who] != what {
				t.Errorf("%s: %s: %q, want %q", name, who, got[who], what)
			}
		}
		if !strings.Contains(strings.Join(notes, "\n"), test.notes) {
			t.Errorf("%s: %v", name, notes)
		}
	}
}

func TestALongListSaysWhatItLeavesOut(t *testing.T) {
	c, err := NewCalendar("07:00", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	day, _ := ParseDay("2026-12-01")
	l := &list{of: map[string]*own{}}
	for range maxEntries + 3 {
		l.give("anna", Entry{})
	}
	got, err := c.letter("a@b.example", day, "anna", l.of["anna"], nil)
	if err != nil || !strings.Contains(string(got), "and 3 more, which the record has.") || strings.Contains(string(got), "501. ") {
		t.Errorf("%v: %s", err, got[len(got)-2000:])
	}
}
