package gates_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
)

// TestWhatCanNotBeReadStopsNoEmergency (PD-A.5): what came is kept and cannot be read, or the
// trusted root. A planned release waits for it, an emergency for half a minute at most, and
// then its gate is gone around, with the reason on record and without an address. A way back
// of which the procedure requires no gate reads nothing.
func TestWhatCanNotBeReadStopsNoEmergency(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		root string
		why  string
	}{
		"silent":   {err: errors.New("dial tcp 10.1.2.3:4222"), why: "the store gave no answer"},
		"slow":     {err: context.DeadlineExceeded, why: "the store gave no answer"},
		"gone":     {err: evidence.ErrNotFound, why: "evidence is not there"},
		"tampered": {err: evidence.ErrTampered, why: "evidence was changed"},
		"no root":  {root: evidence.Digest([]byte("nobody has it")), why: "evidence is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
				d.Gates[0].Triggers = []releasev1.Trigger{releasev1.Trigger_TRIGGER_PLANNED, releasev1.Trigger_TRIGGER_EMERGENCY}
				if test.root != "" {
					d.Sigstore = &policyv1.Sigstore{TrustedRoot: test.root, Identities: []*policyv1.Identity{{
						Id: "workflow", Issuer: "https://provider.example", Name: &policyv1.Identity_Subject{Subject: "ci"}, Gates: []string{"tests"},
					}}}
				}
			}))
			blobs := &silent{Blobs: r.Evidence}
			step := gates.New(r.Procedures, blobs, nil)
			envelope := tests(t, "ci", "FAILED", proceduretest.Digest('a'))
			planned, urgent := request(t, r, "planned", envelope), request(t, r, "urgent", envelope, proceduretest.Emergency)
			back := request(t, r, "back", envelope, proceduretest.Rollback)
			blobs.err = test.err
			later := time.Now().Add(31 * time.Second)
			if s, err := r.Act(t, step, planned, later); err == nil || s.Phase != procedure.PhaseGates {
				t.Errorf("planned: in phase %s, %v", s.Phase, err)
			}
			if s, err := r.Act(t, step, urgent, r.State(t, urgent).Entered.Add(time.Second)); err == nil || s.Phase != procedure.PhaseGates {
				t.Errorf("an emergency at once: in phase %s, %v", s.Phase, err)
			}
			s, err := r.Act(t, step, urgent, later)
			if err != nil || s.Phase != procedure.PhaseScope || s.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_BYPASSED || len(s.Unkept) != 1 {
				t.Fatalf("an emergency later: in phase %s with %v, not kept %v, %v", s.Phase, s.Gates, s.Unkept, err)
			}
			digest := evidence.Digest(envelope)
			if test.root != "" {
				digest = test.root
			}
			if u := s.Unkept[0]; u.GetDigest() != digest || u.GetReason() != "could not be read: "+test.why || !strings.Contains(s.Gates[0].GetReason(), u.GetReason()) {
				t.Errorf("on record: %v; %v", u, s.Gates[0])
			}
			if text := fmt.Sprint(s.Unkept, s.Gates); strings.Contains(text, "10.1.2.3") {
				t.Errorf("an address is on record: %s", text)
			}
			if s, err := r.Act(t, step, back, time.Now()); err != nil || s.Phase != procedure.PhaseScope || len(s.Unkept) != 0 {
				t.Errorf("a way back: in phase %s, not kept %v, %v", s.Phase, s.Unkept, err)
			}
		})
	}
}
