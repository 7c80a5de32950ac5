package authorize_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// wentBack carries a release to its end whose validation failed, and that went back well; Gina took
// that on before it did.
func (r *rig) wentBack(t *testing.T, k string) string {
	t.Helper()
	release := r.Reach(t, procedure.PhaseVerify, key(k))
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	r.Do(t, release, "gina", proceduretest.Acknowledge(releasev1.Cause_CAUSE_VALIDATION_FAILED))
	r.To(t, release, procedure.PhaseFollowUp)
	return release
}

func closing(release string) *approvalv1.CloseIncidentRequest {
	return &approvalv1.CloseIncidentRequest{Release: release, Reason: "the disk was full"}
}

// TestWhoClosesAnIncident: who was called, the owner, and operators; nobody else, no machine, and not
// who only asked for the release. It is closed once.
func TestWhoClosesAnIncident(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	for person, reason := range map[string]string{
		"gina": "", "eve": "", "otto": "", "anna": "NOT_ALLOWED", "rita": "NOT_ALLOWED", "ci-bot": "MACHINE", "hugo": "INACTIVE_PERSON", "mallory": "UNKNOWN_PERSON",
	} {
		release := r.wentBack(t, "close-"+person)
		if !r.State(t, release).Requested.GetClosingDemanded() {
			t.Fatal("the release does not demand that its incident is closed")
		}
		got, err := desk.CloseIncident(as(t, person), closing(release))
		s := r.State(t, release)
		if reason != "" {
			want(t, person, err, codes.PermissionDenied, reason)
			if len(procedure.Unclosed(s)) != 1 {
				t.Errorf("%s: open of %v", person, procedure.Unclosed(s))
			}
			continue
		}
		if err != nil || !slices.Equal(got.GetCauses(), []releasev1.Cause{releasev1.Cause_CAUSE_VALIDATION_FAILED}) || s.Escalations[0].ClosedBy != person || s.Escalations[0].AcknowledgedBy != "gina" {
			t.Errorf("%s: %v, %v, %+v", person, got, err, s.Escalations)
		}
		_, err = desk.CloseIncident(as(t, person), closing(release))
		want(t, person+" again", err, codes.FailedPrecondition, "OTHER_STATE")
	}
	_, err := desk.CloseIncident(as(t, "gina"), closing("shop-unknown"))
	want(t, "no release", err, codes.NotFound, "RELEASE_NOT_FOUND")
}

// TestNobodyClosesWhatIsNotOver, what has no incident, or without a reason; the answer says what
// there is to be done, or names the field.
func TestNobodyClosesWhatIsNotOver(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.unknown(t, "not-over")
	_, err := desk.CloseIncident(as(t, "gina"), closing(release))
	want(t, "not over", err, codes.FailedPrecondition, "OTHER_STATE")
	if err != nil && !strings.Contains(err.Error(), "accept") {
		t.Errorf("%v does not say what can be done", err)
	}
	good := r.Reach(t, procedure.PhaseFollowUp, key("good"))
	_, err = desk.CloseIncident(as(t, "gina"), closing(good))
	want(t, "without an incident", err, codes.FailedPrecondition, "OTHER_STATE")

	release = r.wentBack(t, "no-reason")
	for _, reason := range []string{"", " ", "\u200b", "\n\t"} {
		_, err := desk.CloseIncident(as(t, "gina"), &approvalv1.CloseIncidentRequest{Release: release, Reason: reason})
		want(t, reason, err, codes.InvalidArgument, "INVALID_FIELD")
		if err != nil && !strings.Contains(err.Error(), "reason") {
			t.Errorf("%q: %v does not name the field", reason, err)
		}
	}
	if s := r.State(t, release); len(procedure.Unclosed(s)) != 1 {
		t.Errorf("open of %v", procedure.Unclosed(s))
	}
}

// between is the store of a service that others are quicker than: they do something before what it
// stores first.
type between struct {
	*eventstore.Store
	other func()
}

func (b *between) Append(ctx context.Context, drafts ...eventstore.Draft) ([]eventstore.Stored, error) {
	if do := b.other; do != nil {
		b.other = nil
		do()
	}
	return b.Store.Append(ctx, drafts...)
}

// slow is a desk at which something else happens before the first decision is stored.
func (r *rig) slow(other func()) *authorize.Server {
	return authorize.NewServer(&between{r.Store, other}, r.Procedures, approvaltest.ProcedureID, r.waiting, r.Evidence, whatif.World{}, time.Now)
}

func known(t *testing.T, person string) context.Context {
	t.Helper()
	return identity.NewContext(t.Context(), identity.Caller{Method: "token", Names: []string{person}})
}

// TestTwoPeopleCloseAnIncidentAtOnce: one of them does, and the other one hears that it is done.
func TestTwoPeopleCloseAnIncidentAtOnce(t *testing.T) {
	r := newRig(t)
	release := r.wentBack(t, "two")
	_, err := r.slow(func() {
		if _, err := r.dial(t).CloseIncident(as(t, "gina"), closing(release)); err != nil {
			t.Error(err)
		}
	}).CloseIncident(known(t, "otto"), closing(release))
	want(t, "the second", err, codes.FailedPrecondition, "OTHER_STATE")
	var stored int
	for _, e := range r.Task(t, release, time.Now()).History.Entries {
		if e.Event.GetIncidentClosed() != nil {
			stored++
		}
	}
	if s := r.State(t, release); stored != 1 || s.Escalations[0].ClosedBy != "gina" {
		t.Errorf("%d are on record, %+v", stored, s.Escalations)
	}
}

// TestWhatIsReportedWhileSomebodyClosesStaysOpen: they had not seen it, and are told to look again.
func TestWhatIsReportedWhileSomebodyClosesStaysOpen(t *testing.T) {
	r := newRig(t)
	release := r.wentBack(t, "meanwhile")
	_, err := r.slow(func() { r.Do(t, release, "rita", proceduretest.Impact()) }).CloseIncident(known(t, "otto"), closing(release))
	want(t, "with another cause since", err, codes.Aborted, "STALE_INCIDENT")
	both := []releasev1.Cause{releasev1.Cause_CAUSE_VALIDATION_FAILED, releasev1.Cause_CAUSE_UNEXPECTED_IMPACT}
	if s := r.State(t, release); !slices.Equal(procedure.Unclosed(s), both) {
		t.Errorf("open of %v", procedure.Unclosed(s))
	}
	if got, err := r.dial(t).CloseIncident(as(t, "otto"), closing(release)); err != nil || !slices.Equal(got.GetCauses(), both) {
		t.Errorf("seen: %v, %v", got, err)
	}
	if s := r.State(t, release); len(s.OpenEscalations())+len(procedure.Unclosed(s)) > 0 {
		t.Errorf("called for %v, open of %v", s.OpenEscalations(), procedure.Unclosed(s))
	}
}

// TestTheSameAgainWhileSomebodyClosesStaysOpen: another impact is another thing that they had not
// seen, whether or not somebody has taken on the one before, and whether they close the incident or
// end the release with it.
func TestTheSameAgainWhileSomebodyClosesStaysOpen(t *testing.T) {
	r := newRig(t)
	impact := []releasev1.Cause{releasev1.Cause_CAUSE_UNEXPECTED_IMPACT}
	for name, taken := range map[string]bool{"taken-on": true, "open": false} {
		release := r.wentBack(t, "same-"+name)
		r.Do(t, release, "rita", proceduretest.Impact())
		if taken {
			r.Do(t, release, "gina", proceduretest.Acknowledge(impact[0]))
		}
		_, err := r.slow(func() { r.Do(t, release, "rita", proceduretest.Impact()) }).CloseIncident(known(t, "otto"), closing(release))
		want(t, name, err, codes.Aborted, "STALE_INCIDENT")
		if s := r.State(t, release); len(procedure.Unclosed(s)) != 2 || len(s.OpenEscalations()) != 1 {
			t.Errorf("%s: open of %v, called for %v", name, procedure.Unclosed(s), s.OpenEscalations())
		}
	}
	release := r.unknown(t, "same-accepted")
	accept := &approvalv1.InterveneRequest{Release: release, Action: releasev1.Intervened_ACTION_ACCEPT, Reason: "it runs"}
	_, err := r.slow(func() { r.Do(t, release, "rita", proceduretest.Impact()) }).Intervene(known(t, "otto"), accept)
	want(t, "accepted with an impact since", err, codes.Aborted, "STALE_INCIDENT")
	if s := r.State(t, release); s.Phase != procedure.PhaseEscalated || len(procedure.Unclosed(s)) != 2 {
		t.Errorf("phase %s, open of %v", s.Phase, procedure.Unclosed(s))
	}
	if _, err := r.dial(t).Intervene(as(t, "otto"), accept); err != nil {
		t.Error(err)
	}
	if s := r.State(t, release); len(procedure.Unclosed(s)) > 0 {
		t.Errorf("accepted: open of %v", procedure.Unclosed(s))
	}
	// What has the release go on ends nothing, so that nobody has to look again.
	release = r.unknown(t, "same-retried")
	if _, err := r.slow(func() { r.Do(t, release, "rita", proceduretest.Impact()) }).Intervene(known(t, "otto"), &approvalv1.InterveneRequest{
		Release: release, Action: releasev1.Intervened_ACTION_ROLL_BACK, Reason: "away with it",
	}); err != nil {
		t.Errorf("rolled back with an impact since: %v", err)
	}
}

// TestAnIncidentIsClosedWhereOthersWrote something that is none: it is decided again.
func TestAnIncidentIsClosedWhereOthersWrote(t *testing.T) {
	r := newRig(t)
	release := r.wentBack(t, "again")
	got, err := r.slow(func() { r.Do(t, release, "", proceduretest.Notify(r.State(t, release))) }).CloseIncident(known(t, "otto"), closing(release))
	if s := r.State(t, release); err != nil || len(got.GetCauses()) != 1 || s.Escalations[0].ClosedBy != "otto" {
		t.Errorf("%v, %v, %+v", got, err, s.Escalations)
	}
}

// TestAWayBackIsFoundByItsRelease: whoever names one where it has nothing of its own is told which
// release to name.
func TestAWayBackIsFoundByItsRelease(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.wentBack(t, "way-back")
	_, err := desk.Explain(as(t, "gina"), &approvalv1.ExplainRequest{Release: procedure.RollbackID(release, 1)})
	want(t, "explain", err, codes.NotFound, "RELEASE_NOT_FOUND")
	if err == nil || !strings.Contains(err.Error(), "ask for "+release) {
		t.Errorf("%v does not name the release", err)
	}
}
