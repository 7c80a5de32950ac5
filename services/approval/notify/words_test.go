package notify_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// notice is what a webhook is sent.
type notice struct {
	Subject, Text, Time string
	To                  []string
	Fields              map[string]string
}

// last is the newest body that the receiver was sent, delivered or not.
func (r *receiver) last(t *testing.T) (n notice, raw []byte) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bodies) == 0 {
		t.Fatal("nothing was sent")
	}
	raw = r.bodies[len(r.bodies)-1]
	if err := json.Unmarshal(raw, &n); err != nil {
		t.Fatal(err)
	}
	return n, raw
}

// tell lets the step act once, on a task that is not on the bus.
func (r *rig) tell(t *testing.T, task reactor.Task) *releasev1.Notified {
	t.Helper()
	drafts, err := r.step().Act(t.Context(), task)
	if err != nil || len(drafts) != 1 {
		t.Fatalf("%v, %v", drafts, err)
	}
	return drafts[0].Event.GetNotified()
}

// Each rung has its channel, and who is called hears by whom, until when and for what.
func TestAnEscalationGoesToTheRungThatIsCalled(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[1].Groups = []string{"operators"}
		d.Channels = append(d.Channels, &policyv1.Channel{
			Name: "phone", Occasions: []releasev1.Occasion{releasev1.Occasion_OCCASION_ESCALATION}, Groups: []string{"incident-commanders"},
		})
		d.Channels[0].Occasions = []releasev1.Occasion{releasev1.Occasion_OCCASION_START, releasev1.Occasion_OCCASION_EMERGENCY}
	})
	phone := newReceiver(t)
	r.channels["phone"] = open(t, "phone", configv1.ChannelAddress_KIND_WEBHOOK, phone.URL)
	release := r.Reach(t, procedure.PhaseExecuting)
	r.Do(t, release, "", proceduretest.Executed(r.State(t, release), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}))
	s := r.Do(t, release, "", proceduretest.Escalate(r.State(t, release), time.Now()))
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	if n := r.told(t, release); len(n.GetReceipts()) != 1 || n.GetReceipts()[0].GetChannel() != "chat" {
		t.Errorf("the first rung was told by %v", n.GetReceipts())
	}
	said, _ := r.chat.last(t)
	for _, want := range []string{"Called: ", "group: operators", "incident: INC-", "acknowledge_by: 20", "shipwarden acknowledge " + release + " --comment '…'"} {
		if !strings.Contains(said.Text, want) {
			t.Errorf("the chat is not told %q in\n%s", want, said.Text)
		}
	}
	at := s.Escalations[0].AcknowledgeBy
	task := later(t, r.Task(t, release, at), at, procedure.DecideDeadline(r.State(t, release), at))
	second := proceduretest.Escalate(task.State, at)
	second.GetEscalated().To = []string{"eve", "otto"}
	second.GetEscalated().Summary = "nobody can tell whether eu1 was changed"
	if n := r.tell(t, later(t, task, at.Add(time.Second), second)); len(n.GetReceipts()) != 1 || n.GetReceipts()[0].GetChannel() != "phone" {
		t.Fatalf("the second rung was told by %v", n.GetReceipts())
	}
	got, _ := phone.last(t)
	if !slices.Equal(got.To, []string{"eve", "otto"}) || !strings.HasPrefix(got.Text, "nobody can tell whether eu1 was changed") ||
		got.Fields["incident"] != second.GetEscalated().GetIncident() || got.Fields["group"] != "incident-commanders" || got.Fields["rung"] != "2" ||
		got.Fields["acknowledge_by"] != second.GetEscalated().GetAcknowledgeBy().AsTime().UTC().Format(time.RFC3339) {
		t.Errorf("the phone hears %+v", got)
	}
}

// The receipt names what was sent by its digest, and it is there to be read, also for
// whoever did not send it; where it was sent to is in it nowhere.
func TestWhatWasSentIsKeptAsEvidence(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	for i, x := range r.told(t, release).GetReceipts() {
		kept, err := evidence.New(r.JetStream()).Get(t.Context(), x.GetBodyDigest())
		if err != nil {
			t.Fatal(err)
		}
		to := []*receiver{r.ops, r.chat}[i]
		if _, sent := to.last(t); !bytes.Equal(kept, sent) {
			t.Errorf("%s: kept %s\nsent %s", x.GetChannel(), kept, sent)
		}
		if bytes.Contains(kept, []byte(to.URL)) {
			t.Errorf("%s: the address is kept in %s", x.GetChannel(), kept)
		}
	}
}

// A receiver that knows keys may compare what it gets under one.
func TestARepetitionUnderOneKeyHasTheSameBytes(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	r.ops.answer(http.StatusServiceUnavailable)
	if _, err := r.Act(t, r.step(), release, r.now); err == nil {
		t.Fatal("a required channel is down, and it went on")
	}
	_, first := r.ops.last(t)
	r.ops.answer(http.StatusOK)
	r.now = r.now.Add(time.Hour)
	// In the meantime the release has gone on as far as it may.
	r.tell(t, overdue(t, r.Task(t, release, r.now)))
	if _, second := r.ops.last(t); !bytes.Equal(first, second) {
		t.Errorf("first  %s\nsecond %s", first, second)
	}
}

func TestAStartThatIsNotNowSaysWhen(t *testing.T) {
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	until := at.Add(48 * time.Hour)
	weekend := func(d *policyv1.Procedure) {
		d.Freezes = append(d.Freezes, &policyv1.Freeze{Name: "weekend", SetBy: "gina", Reason: "nobody is there", When: &policyv1.Freeze_Once{
			Once: &policyv1.Span{Start: timestamppb.New(at.Add(-time.Minute)), End: timestamppb.New(until)},
		}})
	}
	later := func(r *releasev1.Request) { r.NotBefore = timestamppb.New(at) }
	for _, c := range []struct {
		name    string
		changes []func(*policyv1.Procedure)
		request []func(*releasev1.Request)
		subject string
		because string
	}{
		{"at once", nil, nil, "Release about to start: shop 1.4.2 to production", ""},
		{"not before its time", nil, []func(*releasev1.Request){later}, "Release to start not before " + stamp(at) + ": shop 1.4.2 to production", "the request says so"},
		{"in a freeze", []func(*policyv1.Procedure){weekend}, []func(*releasev1.Request){later}, "Release to start not before " + stamp(until) + ": ", "freeze weekend, set by gina"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.changes...)
			release := r.Reach(t, procedure.PhaseNotify, c.request...)
			if _, err := r.Act(t, r.step(), release, r.now); err != nil {
				t.Fatal(err)
			}
			got, _ := r.ops.last(t)
			if !strings.HasPrefix(got.Subject, c.subject) || !strings.Contains(got.Text, c.because) || got.Fields["start_by"] == "" {
				t.Errorf("heard %+v", got)
			}
		})
	}
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// A start that was announced and did not come, because an approval was taken back, is
// announced again when it does; in between people hear that it does not.
func TestAStartThatIsAuthorizedAgainIsToldAgain(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	r.chat.answer(http.StatusServiceUnavailable)
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	if s := r.Do(t, release, "anna", proceduretest.WithdrawApproval()); s.Phase != procedure.PhaseApprove {
		t.Fatalf("phase %s", s.Phase)
	}
	r.chat.answer(http.StatusOK)
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	if said, _ := r.ops.last(t); said.Subject != "Release does not start for now: shop 1.4.2 to production" || !strings.Contains(said.Text, "anna took an approval back") {
		t.Errorf("heard %+v", said)
	}
	r.To(t, release, procedure.PhaseNotify)
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	if got, want := r.ops.heard(), []string{release + "/start/1/ops", release + "/correction/1/ops", release + "/start/1-2/ops"}; !slices.Equal(got, want) {
		t.Errorf("heard %v, want %v", got, want)
	}
}

// TestANoticeOfAWayBackNamesIt beside its release: whoever is told can ask for it.
func TestANoticeOfAWayBackNamesIt(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[0].Occasions = []releasev1.Occasion{releasev1.Occasion_OCCASION_START, releasev1.Occasion_OCCASION_ROLLBACK}
	})
	release := r.Reach(t, procedure.PhaseVerify)
	r.Do(t, release, "", proceduretest.Verified(r.State(t, release), releasev1.CheckResult_VERDICT_FAIL, false))
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	said, _ := r.chat.last(t)
	if want := "rollback: " + procedure.RollbackID(release, 1); !strings.Contains(said.Text, want) || !strings.Contains(said.Text, release) {
		t.Errorf("the chat is not told %q in\n%s", want, said.Text)
	}
}
