package notify_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// nightRig has a chat with quiet hours, and a night that is over by the server's clock:
// what waits in it is due as soon as somebody looks.
func nightRig(t *testing.T, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	night := time.Now().Add(-24 * time.Hour).UTC()
	clock := func(at time.Time) string { return at.Format("15:04") }
	r := newRig(t, append([]func(*policyv1.Procedure){func(d *policyv1.Procedure) {
		d.Channels[1].QuietHours = []*policyv1.QuietHours{{From: clock(night.Add(-time.Hour)), To: clock(night.Add(2 * time.Hour)), TimeZone: "UTC"}}
	}}, changes...)...)
	r.now = night
	return r
}

// morning lets the time pass for which the release's notices wait.
func (r *rig) morning(t *testing.T, release string) procedure.State {
	t.Helper()
	r.now = time.Now()
	return r.Do(t, release, "", procedure.DecideDeadline(r.State(t, release), r.now))
}

func (r *rig) goOn(t *testing.T, step reactor.Step, release string) procedure.State {
	t.Helper()
	s, err := r.Act(t, step, release, r.now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What may wait does, on record; what a start waits for does not. In the morning the chat
// gets one message that names every release and event, and the receipt of each names that.
func TestWhatWaitedIsToldAsOneMessage(t *testing.T) {
	r := nightRig(t)
	var releases []string
	for i := range 2 {
		release := r.Reach(t, procedure.PhaseNotify, func(q *releasev1.Request) { q.IdempotencyKey = fmt.Sprint("night-", i) })
		if s := r.goOn(t, r.step(), release); s.Phase != procedure.PhaseExecute || len(s.Deferred) != 1 {
			t.Fatalf("phase %s, deferred %v", s.Phase, s.Deferred)
		}
		releases = append(releases, release)
	}
	first := r.told(t, releases[0])
	d := first.GetDeferred()[0]
	if len(first.GetReceipts()) != 1 || first.GetReceipts()[0].GetChannel() != "ops" || d.GetChannel() != "chat" ||
		d.GetReason() != releasev1.Deferral_REASON_QUIET_HOURS || !d.GetUntil().AsTime().After(r.now) || d.GetZoneData() == "" {
		t.Errorf("told %v", first)
	}
	if heard := r.chat.heard(); len(heard) != 0 {
		t.Errorf("the chat hears %v at night", heard)
	}
	// One of them ends at night, too.
	r.Do(t, releases[0], "otto", proceduretest.Withdraw())
	r.goOn(t, r.step(), releases[0])
	r.To(t, releases[0], procedure.PhaseRecord)
	r.Do(t, releases[0], "", proceduretest.Recorded(r.State(t, releases[0])))
	if s := r.goOn(t, r.step(), releases[0]); s.Phase != procedure.PhaseFollowUp || len(s.Deferred) != 3 {
		t.Fatalf("phase %s, deferred %v", s.Phase, s.Deferred)
	}
	night := r.now
	for _, release := range releases {
		r.morning(t, release)
	}
	for _, release := range releases {
		if s := r.goOn(t, r.step(), release); len(s.Deferred) != 0 {
			t.Errorf("%s: deferred %v", release, s.Deferred)
		}
	}
	if s := r.State(t, releases[0]); s.Phase != procedure.PhaseClosed {
		t.Errorf("phase %s", s.Phase)
	}
	said, _ := r.chat.last(t)
	for _, want := range []string{
		"4 notices of 2 releases", releases[0] + " start: ", releases[0] + " correction: ", releases[0] + " end: ", releases[1] + " start: ",
	} {
		if !strings.Contains(said.Text, want) {
			t.Errorf("the chat is not told %q in\n%s", want, said.Text)
		}
	}
	if n := len(r.chat.heard()); n != 1 {
		t.Errorf("the chat heard %d messages", n)
	}
	key := fmt.Sprintf("digest/%d/1/chat", d.GetUntil().AsTime().Unix())
	for _, release := range releases {
		n := r.told(t, release)
		if x := n.GetReceipts(); len(x) != 1 || !x[0].GetDelivered() || x[0].GetKey() != key || n.GetDeferredBy() == 0 || x[0].GetTime().AsTime().Before(night) {
			t.Errorf("%s: told %v", release, n)
		}
	}
}

// A channel that gathers says everything of an hour at once, and what was late for that by
// itself.
func TestNoticesAreGathered(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) { d.Channels[1].Digest = &policyv1.Digest{Every: durationpb.New(time.Hour)} })
	r.now = time.Now().Add(-2 * time.Hour)
	var releases []string
	for i := range 3 {
		release := r.Reach(t, procedure.PhaseNotify, func(q *releasev1.Request) { q.IdempotencyKey = fmt.Sprint("busy-", i) })
		releases = append(releases, release)
	}
	hour := r.now
	for _, release := range releases[:2] {
		r.goOn(t, r.step(), release)
	}
	if x := r.told(t, releases[0]).GetDeferred()[0]; x.GetReason() != releasev1.Deferral_REASON_DIGEST || x.GetUntil().AsTime().UnixNano()%int64(time.Hour) != 0 {
		t.Errorf("deferred %v", x)
	}
	r.morning(t, releases[0])
	r.goOn(t, r.step(), releases[0])
	// A process that was slow decided in time, and stores after the message went out.
	r.now = hour
	r.goOn(t, r.step(), releases[2])
	for _, release := range releases[1:] {
		r.morning(t, release)
		r.goOn(t, r.step(), release)
	}
	if n := len(r.chat.heard()); n != 2 {
		t.Errorf("the chat heard %d messages", n)
	}
	if x := r.told(t, releases[1]).GetReceipts()[0].GetKey(); !strings.HasPrefix(x, "digest/") {
		t.Errorf("the second is told by %s", x)
	}
	if x := r.told(t, releases[2]).GetReceipts()[0].GetKey(); x != releases[2]+"/start/1/chat" {
		t.Errorf("the late one is told by %s", x)
	}
}

// A process may be killed at any time: nothing is lost, and nothing is told twice.
func TestWhatWaitsSurvivesThatTheProcessIsKilled(t *testing.T) {
	r := nightRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	// Gathered, and the draft that says so is lost.
	if _, err := r.step().Act(t.Context(), r.Task(t, release, r.now)); err != nil {
		t.Fatal(err)
	}
	r.goOn(t, r.step(), release)
	r.morning(t, release)
	// The message is written down; then it goes out, and what became of it is not kept.
	lost := notify.New(r.Procedures, nil, r.ledger, r.Evidence, r.Store, func() time.Time { return r.now })
	if _, err := lost.Act(t.Context(), r.Task(t, release, r.now)); err != nil { // and its draft is lost
		t.Fatal(err)
	}
	killed := notify.New(r.Procedures, r.channels, forgetful{r.ledger}, r.Evidence, r.Store, func() time.Time { return r.now })
	if _, err := killed.Act(t.Context(), r.Task(t, release, r.now)); err != nil { // and its draft is lost
		t.Fatal(err)
	}
	if _, err := r.Act(t, r.step(), release, r.now); err == nil {
		t.Error("another process may still be sending it, and it went on")
	}
	r.now = r.now.Add(time.Hour)
	if s := r.goOn(t, r.step(), release); len(s.Deferred) != 0 {
		t.Errorf("deferred %v", s.Deferred)
	}
	if x := r.told(t, release).GetReceipts()[0]; x.GetDelivered() || !strings.Contains(x.GetResponse(), "interrupted") {
		t.Errorf("receipt %v", x)
	}
	if n := len(r.chat.heard()); n != 1 {
		t.Errorf("the chat heard it %d times", n)
	}
}

// What was begun to be sent in the evening is not put off when the night has come since.
func TestWhatWasBegunIsNotPutOff(t *testing.T) {
	r := nightRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	night := r.now
	r.now = r.now.Add(-2 * time.Hour)
	if _, err := r.step().Act(t.Context(), r.Task(t, release, r.now)); err != nil { // and its draft is lost
		t.Fatal(err)
	}
	r.now = night
	if s := r.goOn(t, r.step(), release); len(s.Deferred) != 0 {
		t.Errorf("deferred %v", s.Deferred)
	}
	if got, want := r.chat.heard(), []string{release + "/start/1/chat"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// A start for which people have to say that they know is told at once, so that no quiet
// hours keep it waiting; and nothing of an emergency waits.
func TestNoStartWaitsForTheMorning(t *testing.T) {
	r := nightRig(t, rules)
	mail := newReceiver(t)
	r.channels["mail"] = open(t, "mail", configv1.ChannelAddress_KIND_WEBHOOK, mail.URL)
	release := r.Reach(t, procedure.PhaseNotify, proceduretest.Waves([]string{"us1"}))
	if s := r.goOn(t, r.step(), release); len(s.Deferred) != 0 || len(procedure.Unacknowledged(s)) != 1 {
		t.Errorf("deferred %v", s.Deferred)
	}
	if s := r.Do(t, release, "dan", proceduretest.Know()); s.Phase != procedure.PhaseExecute {
		t.Errorf("phase %s", s.Phase)
	}
	other := r.Reach(t, procedure.PhaseNotify, proceduretest.Emergency, func(q *releasev1.Request) { q.IdempotencyKey = "other" })
	if s := r.goOn(t, r.step(), other); len(s.Deferred) != 0 {
		t.Errorf("of an emergency: deferred %v", s.Deferred)
	}
	if n := len(r.chat.heard()); n != 3 {
		t.Errorf("the chat heard %d messages", n)
	}
	// Without anybody who has to know, the same start waits there.
	third := r.Reach(t, procedure.PhaseNotify, func(q *releasev1.Request) { q.IdempotencyKey = "third" })
	if s := r.goOn(t, r.step(), third); len(s.Deferred) != 1 {
		t.Errorf("deferred %v", s.Deferred)
	}
	for _, p := range r.told(t, third).GetRecipients() {
		if want := releasev1.Recipient_STATE_DEFERRED; p.GetPerson() == "gina" && p.GetState() != want {
			t.Errorf("recipient %v", p)
		}
	}
}

// People who are reached one by one get a message of what was meant for them alone, and
// where the channel is down the one that stands in is told once for all.
func TestNobodyReadsWhatWasMeantForOthers(t *testing.T) {
	r := nightRig(t, func(d *policyv1.Procedure) {
		end := []releasev1.Occasion{releasev1.Occasion_OCCASION_END}
		d.Channels[1].Fallback = "stand-in"
		d.Channels = append(d.Channels, &policyv1.Channel{Name: "stand-in", Occasions: end, Environments: []string{"staging"}})
		d.Audiences = []*policyv1.Audience{{Name: "owners", Occasions: d.GetChannels()[1].GetOccasions()[:1], Owners: true, Channels: []string{"chat"}}}
	})
	standIn := newReceiver(t)
	r.channels["stand-in"] = open(t, "stand-in", configv1.ChannelAddress_KIND_WEBHOOK, standIn.URL)
	r.channels["chat"] = personal{r.channels["chat"]}
	r.chat.answer(http.StatusForbidden)
	var releases []string
	for i, owner := range []string{"otto", "otto", "finn"} {
		release := r.Reach(t, procedure.PhaseNotify, func(q *releasev1.Request) { q.IdempotencyKey, q.Owner = fmt.Sprint("own-", i), owner })
		r.goOn(t, r.step(), release)
		releases = append(releases, release)
	}
	for _, release := range releases {
		r.morning(t, release)
		r.goOn(t, r.step(), release)
	}
	if got := standIn.heard(); len(got) != 2 || !strings.HasSuffix(got[0], "/1/chat/stand-in") || !strings.HasSuffix(got[1], "/2/chat/stand-in") {
		t.Errorf("heard %v", got)
	}
	for _, release := range releases {
		if x := r.told(t, release).GetReceipts(); len(x) != 2 || x[0].GetDelivered() || !x[1].GetDelivered() || x[1].GetInsteadOf() != "chat" {
			t.Errorf("%s: receipts %v", release, x)
		}
	}
	if said, _ := standIn.last(t); strings.Contains(said.Text, releases[0]) {
		t.Errorf("finn reads %s", said.Text)
	}
}

// personal is a chat that reaches people one by one.
type personal struct{ notify.Channel }

func (personal) Personal() bool { return true }
