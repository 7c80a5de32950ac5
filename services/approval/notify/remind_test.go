package notify_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// reminded has ops told of reminders as well.
func reminded(d *policyv1.Procedure) {
	d.Channels[0].Occasions = append(slices.Clone(d.GetChannels()[0].GetOccasions()), releasev1.Occasion_OCCASION_REMINDER)
}

// toReminder carries a release to the moment at which people are reminded of it.
func (r *rig) toReminder(t *testing.T) string {
	t.Helper()
	release := r.Reach(t, procedure.PhaseRisk)
	r.Do(t, release, "", proceduretest.Risk(r.State(t, release), r.now, func(f *procedure.RiskFacts) { f.RemindAt = r.now.Add(-time.Second) }))
	r.Do(t, release, "anna", proceduretest.Approval(r.State(t, release), r.now.Add(time.Hour)))
	s := r.State(t, release)
	r.Do(t, release, "", procedure.DecideDeadline(s, r.now))
	return release
}

// Those are told whose approvals are missing and who may give them, once, also when the
// process is killed and another one goes on.
func TestWhoseApprovalsAreMissingIsReminded(t *testing.T) {
	r := newRig(t, reminded)
	release := r.toReminder(t)
	if _, err := r.step().Act(t.Context(), r.Task(t, release, r.now)); err != nil { // and its draft is lost
		t.Fatal(err)
	}
	s := r.goOn(t, r.step(), release)
	if s.Phase != procedure.PhaseApprove || len(s.Wanted) != 0 {
		t.Errorf("phase %s, wanted %v", s.Phase, s.Wanted)
	}
	said, _ := r.ops.last(t)
	for _, want := range []string{"1 of security", "expires at " + s.ApproveBy.UTC().Format(time.RFC3339), "shipwarden approve " + release} {
		if !strings.Contains(said.Text, want) {
			t.Errorf("nobody is told %q in\n%s", want, said.Text)
		}
	}
	if got := r.ops.heard(); !slices.Equal(got, []string{release + "/reminder/1/ops"}) {
		t.Errorf("heard %v", got)
	}
	// Ada and Alan wrote it, and anna has approved.
	n := r.told(t, release)
	if a := n.GetAudience(); len(a) != 1 || a[0].GetReason() != "1 of security missing" || !slices.Equal(a[0].GetPeople(), []string{"ben", "cleo"}) {
		t.Errorf("audience %v", a)
	}
	if next, _ := procedure.NextDeadline(s); next.Kind == releasev1.Deadline_DEADLINE_REMINDER {
		t.Error("they would be reminded again")
	}
}

// Who is on call is reminded with the members, and told with them where a group is told.
func TestWhoIsOnCallIsReminded(t *testing.T) {
	r := newRig(t, reminded, func(d *policyv1.Procedure) {
		d.Groups[1].OnCall = &policyv1.OnCall{Rotas: []*policyv1.Rota{{
			Name: "hourly", People: []string{"finn", "eve"}, Begin: time.Now().Add(-20 * time.Minute).UTC().Format("2006-01-02T15:04"), Shift: durationpb.New(time.Hour), TimeZone: "UTC",
		}}}
		d.Audiences = append(d.Audiences, &policyv1.Audience{Name: "security", Occasions: []releasev1.Occasion{releasev1.Occasion_OCCASION_REMINDER}, Groups: []string{"security"}})
	})
	release := r.toReminder(t)
	r.goOn(t, r.step(), release)
	a := r.told(t, release).GetAudience()
	if len(a) != 2 || !slices.Equal(a[0].GetPeople(), []string{"ben", "cleo", "finn"}) || !slices.Equal(a[1].GetPeople(), []string{"ada", "alan", "ben", "cleo", "finn"}) {
		t.Errorf("audience %v", a)
	}
}

// Nobody is reminded of what was done meanwhile, whoever is slow.
func TestNobodyIsRemindedOfAReleaseThatWentOn(t *testing.T) {
	r := newRig(t, reminded)
	release := r.toReminder(t)
	r.To(t, release, procedure.PhaseNotify)
	r.goOn(t, r.step(), release)
	if got := r.ops.heard(); !slices.Equal(got, []string{release + "/start/1/ops"}) {
		t.Errorf("heard %v", got)
	}
}

// Whoever hears of ends hears that a release was withdrawn, or superseded and by which,
// though nobody was told that it would start.
func TestThatAReleaseIsWithdrawnOrSupersededIsTold(t *testing.T) {
	r := newRig(t)
	for key, c := range map[string]struct {
		person string
		event  *releasev1.Event
		want   string
	}{
		"withdrawn":  {"otto", proceduretest.Withdraw(), "Release withdrawn: shop 1.4.2 to production"},
		"superseded": {"", proceduretest.Supersede("shop-newer"), "superseded by shop-newer"},
	} {
		release := r.Reach(t, procedure.PhaseApprove, func(q *releasev1.Request) { q.IdempotencyKey = key })
		r.Do(t, release, c.person, c.event)
		r.Do(t, release, "", proceduretest.Recorded(r.State(t, release)))
		if s := r.goOn(t, r.step(), release); s.Phase != procedure.PhaseClosed {
			t.Errorf("phase %s", s.Phase)
		}
		if said, _ := r.ops.last(t); !strings.Contains(said.Subject+" "+said.Text, c.want) {
			t.Errorf("%s: heard %+v", key, said)
		}
	}
}
