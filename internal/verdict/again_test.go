package verdict_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// begins is a release whose tests passed by a statement of an hour less a second before now.
func begins() procedure.State {
	return procedure.State{
		Request:   &releasev1.Request{Artifacts: web(), Environment: "prod", Service: "shop"},
		Gates:     []*releasev1.GateVerdict{{Gate: "tests", Status: passed}},
		Confirmed: &releasev1.GatesConfirmed{},
	}
}

// twoMinutes has the gate demand such a bake.
func twoMinutes(d *policyv1.Procedure) {
	d.Gates[1].Rules = []*policyv1.Rule{{Name: "bake", Expression: "request.validation.bake == duration('120s')", Message: "another bake"}}
}

func bake(r *releasev1.Request, d time.Duration) {
	r.Validation = &releasev1.Validation{Bake: durationpb.New(d)}
}

func urgent(s *procedure.State) { s.Request.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY }

// TestGatesAreJudgedAgainAtTheStart: how old evidence may be is a matter of the start, and so
// is whether its signer is still trusted, by whichever of two documents trusts less.
func TestGatesAreJudgedAgainAtTheStart(t *testing.T) {
	hour := time.Hour
	key := func(id string, change func(*policyv1.Key)) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			for _, k := range d.GetKeys() {
				if k.GetId() == id {
					change(k)
				}
			}
		}
	}
	bypassable := func(d *policyv1.Procedure) { d.Gates[1].Bypassable = true }
	for _, test := range []struct {
		name string
		// old is the age of the evidence at the moment that is judged by.
		old         time.Duration
		own, active func(*policyv1.Procedure)
		state       func(*procedure.State)
		fallen      string
		around      string
	}{
		{name: "as it was", old: time.Minute},
		{name: "exactly as old as allowed", old: hour},
		{name: "a second older", old: hour + time.Second, fallen: "is of 2026-12-01T10:59:59Z and older than 1h0m0s"},
		{name: "a signer who was revoked", active: key("ci", func(k *policyv1.Key) { k.Revoked = true }), fallen: `the key "ci", which is revoked`},
		{name: "a signer who is not trusted for it any more", active: key("ci", func(k *policyv1.Key) { k.Gates = []string{"code-review"} }), fallen: "which is not trusted for this gate"},
		{name: "a signer who is gone", active: key("ci", func(k *policyv1.Key) { k.Id = "ci-2027" }), fallen: `the key "ci", which the procedure does not know`},
		{name: "another key of that name", active: key("ci", func(k *policyv1.Key) { k.Ed25519 = publicOf("other") }), fallen: `a signature of the key "ci" that does not verify`},
		{name: "a key whose time is over now", own: key("ci", func(k *policyv1.Key) { k.NotAfter = timestamppb.New(now.Add(-1)) }), fallen: "which is no longer valid"},
		{name: "a key whose time ends now", own: key("ci", func(k *policyv1.Key) { k.NotAfter = timestamppb.New(now) })},
		{name: "a gate that is gone, and nobody with it", active: func(d *policyv1.Procedure) { d.Gates, d.Keys = d.GetGates()[:1], nil }},
		{name: "another demand of the document in effect", active: func(d *policyv1.Procedure) { d.Gates[1].MaxAge = nil; d.Gates[1].Values = []string{"GREAT"} }},
		{name: "a verdict that nobody proved", state: func(s *procedure.State) { s.Request.Artifacts[0].Digest = digestOf("other") }, fallen: "is about something else"},
		{name: "a gate that step 1 forgot", old: hour + time.Second, state: func(s *procedure.State) { s.Gates = nil }, fallen: "older than"},
		{name: "what could not be seen at step 1", state: func(s *procedure.State) {
			s.Confirmed.Unseen = []*releasev1.UnseenEvidence{{Artifact: "web", Reason: "nobody knows"}}
		}, fallen: "nobody knows"},
		{name: "what is not kept, of a planned release", old: 2 * hour, state: func(s *procedure.State) {
			s.Gates[0].Evidence, s.Unkept = []string{"x"}, []*releasev1.UnkeptEvidence{{Digest: "x", Reason: "full"}}
		}, fallen: "older than"},
		{name: "what is not kept, of an emergency", old: 2 * hour, state: func(s *procedure.State) {
			urgent(s)
			s.Gates[0].Evidence, s.Unkept = []string{"x"}, []*releasev1.UnkeptEvidence{{Digest: "x", Reason: "full"}}
		}},
		{name: "a planned release, of a gate that an emergency may go around", old: 2 * hour, own: bypassable, active: bypassable, fallen: "older than"},
		{name: "an emergency that may go around it", old: 2 * hour, own: bypassable, active: bypassable, state: urgent, around: "gate tests"},
		{name: "an emergency that says so already", old: 2 * hour, own: bypassable, active: bypassable, state: func(s *procedure.State) { urgent(s); s.Bypassed = []string{"gate tests"} }},
		{name: "an emergency that may not any more", old: 2 * hour, own: bypassable, state: urgent, fallen: "older than"},
		{name: "an emergency that may not", old: 2 * hour, active: bypassable, state: urgent, fallen: "older than"},
		{name: "an emergency that went around it, and may not any more", old: 2 * hour, own: bypassable, state: func(s *procedure.State) {
			urgent(s)
			s.Gates[0].Status = releasev1.GateVerdict_STATUS_BYPASSED
		}},
		{name: "an emergency that went around what it may not", old: 2 * hour, state: func(s *procedure.State) {
			urgent(s)
			s.Gates[0].Status = releasev1.GateVerdict_STATUS_BYPASSED
		}, fallen: "older than"},
		{name: "a rule that is true of what was asked for, and not of what was chosen", own: twoMinutes, state: func(s *procedure.State) {
			bake(s.Request, 2*time.Minute)
			s.Requested = &releasev1.Requested{Request: s.Request}
			s.Request = procedure.AsChosen(s.Request, &releasev1.Chosen{Bake: durationpb.New(time.Hour)})
		}},
		{name: "a rule that is true of what was chosen alone", own: twoMinutes, state: func(s *procedure.State) {
			bake(s.Request, time.Minute)
			s.Requested = &releasev1.Requested{Request: s.Request}
			s.Request = procedure.AsChosen(s.Request, &releasev1.Chosen{Bake: durationpb.New(2 * time.Minute)})
		}, fallen: "another bake"},
		{name: "a waiver that is over, of which something else says so", old: 2 * hour, state: func(s *procedure.State) {
			s.Gates[0].Status, s.Gates[0].Waivers = waived, []*releasev1.Waiver{{Environment: "prod", Expires: timestamppb.New(now)}}
		}},
		{name: "a waiver that nobody signed", old: 2 * hour, state: func(s *procedure.State) {
			s.Gates[0].Status, s.Gates[0].Waivers = waived, []*releasev1.Waiver{{Environment: "prod", Expires: timestamppb.New(now.Add(1))}}
		}, fallen: "older than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			own, active, state := document(), document(), begins()
			own.Gates, active.Gates = own.GetGates(), active.GetGates()
			for _, d := range []*policyv1.Procedure{own, active} {
				d.Gates[0].Environments = []string{"elsewhere"}
			}
			for _, change := range []struct {
				do func(*policyv1.Procedure)
				d  *policyv1.Procedure
			}{{test.own, own}, {test.active, active}} {
				if change.do != nil {
					change.do(change.d)
				}
			}
			if test.state != nil {
				test.state(&state)
			}
			fallen, around := verdict.Again(state, [][]byte{sign(t, "ci", testType, testsPassed(test.old), "web")}, now,
				verdict.Trust{Index: policy.NewIndex(own)}, verdict.Trust{Index: policy.NewIndex(own), Signers: policy.NewIndex(active)})
			var names []string
			for _, v := range around {
				names = append(names, procedure.GateBypass(v.GetGate()))
			}
			if strings.Join(names, ",") != test.around || (len(fallen) == 1) != (test.fallen != "") || len(fallen) > 1 {
				t.Fatalf("fallen %v, around %v", fallen, around)
			}
			if test.fallen != "" && (fallen[0].GetGate() != "tests" || !strings.Contains(fallen[0].GetReason(), test.fallen)) {
				t.Errorf("%s: %s", fallen[0].GetGate(), fallen[0].GetReason())
			}
		})
	}
}

// TestAWaiverOfSomebodyWhoIsTrustedNoMore lets nothing start, though it is not over.
func TestAWaiverOfSomebodyWhoIsTrustedNoMore(t *testing.T) {
	own, active, state := waivable(), waivable(), begins()
	state.Gates[0].Status = waived
	state.Gates[0].Waivers = []*releasev1.Waiver{{Environment: "prod", Expires: timestamppb.New(now.Add(time.Hour))}}
	own.Gates, active.Gates = own.GetGates()[1:], active.GetGates()[1:]
	again := func() []*releasev1.GateVerdict {
		fallen, _ := verdict.Again(state, [][]byte{sign(t, "desk", "https://github.com/blackdice/shipwarden/predicate/waiver/v1", waiver(nil), "web")}, now,
			verdict.Trust{Index: policy.NewIndex(own)}, verdict.Trust{Index: policy.NewIndex(own), Signers: policy.NewIndex(active)})
		return fallen
	}
	if fallen := again(); len(fallen) != 0 {
		t.Fatal(fallen)
	}
	active.Keys[len(active.GetKeys())-1].Revoked = true
	if fallen := again(); len(fallen) != 1 || !strings.Contains(fallen[0].GetReason(), `the key "desk", which is revoked`) {
		t.Error(fallen)
	}
}

// TestATrustedRootThatIsTrustedNoMore: a bundle verifies with the root of the document in
// effect, or counts for nothing.
func TestATrustedRootThatIsTrustedNoMore(t *testing.T) {
	ours, theirs := sigstoretest.New(t), sigstoretest.New(t)
	roots := map[string]*sigstore.Root{}
	for name, data := range map[string][]byte{"ours": ours.Root(t), "theirs": theirs.Root(t)} {
		root, err := sigstore.ParseRoot(data)
		if err != nil {
			t.Fatal(err)
		}
		roots[name] = root
	}
	bundle := ours.Sign(t, workflow, provider, provenance(t, "web", builder))
	for name, want := range map[string]string{"ours": "", "theirs": "does not verify with the trusted root", "none": "the procedure trusts no sigstore instance"} {
		index := policy.NewIndex(built())
		fallen, _ := verdict.Again(begins(), [][]byte{bundle}, now,
			verdict.Trust{Index: index, Root: roots["ours"]}, verdict.Trust{Index: index, Signers: policy.NewIndex(built()), Root: roots[name]})
		if (len(fallen) == 0) != (want == "") || want != "" && !strings.Contains(fallen[0].GetReason(), want) {
			t.Errorf("%s: %v", name, fallen)
		}
	}
}

// TestAtWhichTimeEvidenceIsJudgedAgain: until something has begun by the clock, and a little
// ahead of it; from then on by the time at which it began.
func TestAtWhichTimeEvidenceIsJudgedAgain(t *testing.T) {
	state := begins()
	state.Began = now.Add(-time.Hour)
	if at := verdict.At(state, now); !at.Equal(now.Add(verdict.Margin)) {
		t.Error(at)
	}
	state.Begun = []string{"eu1"}
	if at := verdict.At(state, now); !at.Equal(state.Began) {
		t.Error(at)
	}
}
