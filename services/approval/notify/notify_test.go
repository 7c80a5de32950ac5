package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/channel"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

// receiver is a webhook that can be down.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	keys   []string
	texts  []string
	bodies [][]byte // of every attempt, delivered or not
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	var said struct{ Text, Subject string }
	_ = json.Unmarshal(body, &said)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, body)
	if r.status < 300 {
		r.keys, r.texts = append(r.keys, q.Header.Get("Idempotency-Key")), append(r.texts, said.Subject+said.Text)
	}
	w.WriteHeader(r.status)
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.keys)
}

// rig has the channel ops, which is required, and the channel chat.
type rig struct {
	*approvaltest.Rig
	ops, chat *receiver
	now       time.Time
	ledger    notify.Bucket
	channels  map[string]notify.Channel
}

func newRig(t *testing.T, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	r := &rig{Rig: approvaltest.New(t, approvaltest.Document(changes...)), ops: newReceiver(t), chat: newReceiver(t), now: time.Now()}
	r.channels = map[string]notify.Channel{
		"ops":  open(t, "ops", configv1.ChannelAddress_KIND_WEBHOOK, r.ops.URL),
		"chat": open(t, "chat", configv1.ChannelAddress_KIND_SLACK, r.chat.URL),
	}
	var err error
	if r.ledger, err = notify.OpenBucket(t.Context(), r.JetStream()); err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, name string, kind configv1.ChannelAddress_Kind, url string) notify.Channel {
	t.Helper()
	c, err := channel.New(channel.Config{Name: name, Kind: kind, URL: url, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) step() reactor.Step {
	return notify.New(r.Procedures, r.channels, r.ledger, r.Evidence, r.Store, func() time.Time { return r.now })
}

// told is the newest notified event of the release.
func (r *rig) told(t *testing.T, release string) *releasev1.Notified {
	t.Helper()
	h := r.Task(t, release, r.now).History
	for _, e := range slices.Backward(h.Entries) {
		if n := e.Event.GetNotified(); n != nil {
			return n
		}
	}
	t.Fatalf("release %s: nobody was told of anything", release)
	return nil
}

func TestReceiptsSayWhatWasSentToWhom(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	s, err := r.Act(t, r.step(), release, r.now)
	if err != nil || s.Phase != procedure.PhaseExecute {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	n := r.told(t, release)
	if n.GetOccasion() != releasev1.Occasion_OCCASION_START || len(n.GetReceipts()) != 2 {
		t.Fatalf("told %v", n)
	}
	for i, name := range []string{"ops", "chat"} {
		x := n.GetReceipts()[i]
		if x.GetChannel() != name || x.GetKey() != release+"/start/1/"+name || !x.GetDelivered() || x.GetAttempts() != 1 ||
			x.GetBodyDigest() == "" || x.GetTime() == nil {
			t.Errorf("receipt %v", x)
		}
	}
	if got := r.ops.heard(); !slices.Equal(got, []string{release + "/start/1/ops"}) {
		t.Errorf("the webhook heard %v", got)
	}
}

func TestARequiredChannelThatIsDownHoldsTheStartAndNobodyHearsTwice(t *testing.T) {
	for _, required := range []string{"ops", "chat"} {
		t.Run(required, func(t *testing.T) {
			r := newRig(t, func(d *policyv1.Procedure) {
				for _, c := range d.GetChannels() {
					c.Required = c.GetName() == required
				}
			})
			down, up := r.ops, r.chat
			if required == "chat" {
				down, up = r.chat, r.ops
			}
			down.answer(http.StatusServiceUnavailable)
			release := r.Reach(t, procedure.PhaseNotify)
			for range 3 {
				if s, err := r.Act(t, r.step(), release, r.now); err == nil || s.Phase != procedure.PhaseNotify {
					t.Fatalf("phase %s, %v", s.Phase, err)
				}
			}
			if got := len(up.heard()); got != 1 {
				t.Errorf("the other channel heard it %d times", got)
			}
			down.answer(http.StatusOK)
			if s, err := r.Act(t, r.step(), release, r.now); err != nil || s.Phase != procedure.PhaseExecute {
				t.Fatalf("when it is up again: phase %s, %v", s.Phase, err)
			}
			for _, x := range r.told(t, release).GetReceipts() {
				if !x.GetDelivered() {
					t.Errorf("receipt %v", x)
				}
			}
			if len(down.heard()) != 1 || len(up.heard()) != 1 {
				t.Errorf("heard %v and %v", down.heard(), up.heard())
			}
		})
	}
}

func TestAChannelThatIsNotRequiredHoldsNothing(t *testing.T) {
	r := newRig(t)
	r.chat.answer(http.StatusServiceUnavailable)
	release := r.Reach(t, procedure.PhaseNotify)
	if s, err := r.Act(t, r.step(), release, r.now); err != nil || s.Phase != procedure.PhaseExecute {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	if x := r.told(t, release).GetReceipts()[1]; x.GetDelivered() || !strings.Contains(x.GetResponse(), "503") {
		t.Errorf("receipt %v", x)
	}
}

func TestNothingHoldsAnEmergency(t *testing.T) {
	r := newRig(t)
	r.ops.answer(http.StatusServiceUnavailable)
	delete(r.channels, "chat")
	release := r.Reach(t, procedure.PhaseNotify, proceduretest.Emergency)
	s, err := r.Act(t, r.step(), release, r.now)
	if err != nil || s.Phase != procedure.PhaseExecute {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	for _, x := range r.told(t, release).GetReceipts() {
		if x.GetDelivered() || x.GetResponse() == "" {
			t.Errorf("receipt %v", x)
		}
	}
}

// overdue is the release when the step that it is in has taken too long and the first
// rung was called for it: what a test cannot wait for.
func overdue(t *testing.T, task reactor.Task) reactor.Task {
	t.Helper()
	next, ok := procedure.NextDeadline(task.State)
	if !ok {
		t.Fatal("it has no deadline")
	}
	task = later(t, task, next.At, procedure.DecideDeadline(task.State, next.At))
	return later(t, task, next.At.Add(time.Second), proceduretest.Escalate(task.State, next.At))
}

// later is the task when that event was stored at that time.
func later(t *testing.T, task reactor.Task, at time.Time, event *releasev1.Event) reactor.Task {
	t.Helper()
	writer := procedure.WriterOf(procedure.TypeOf(event))
	event.Id, event.Time, event.Aggregate, event.Writer = "later", timestamppb.New(at), procedure.Aggregate(task.State.Release), writer
	event.Previous, event.ProcedureDigest, event.Actor = task.State.Head.Previous(), task.State.ProcedureDigest, proceduretest.Service(writer)
	e := procedure.Entry{Sequence: task.State.Head.Sequence + 1, Stored: at, Event: event}
	next, err := procedure.Evolve(task.State, e)
	if err != nil {
		t.Fatal(err)
	}
	task.State, task.Cause = next, e
	task.History.Entries = append(slices.Clip(task.History.Entries), e)
	return task
}

func TestPeopleHearThatAStartWaits(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[0].Occasions = []releasev1.Occasion{releasev1.Occasion_OCCASION_START}
	})
	r.ops.answer(http.StatusServiceUnavailable)
	release := r.Reach(t, procedure.PhaseNotify)
	task := overdue(t, r.Task(t, release, r.now))
	drafts, err := r.step().Act(t.Context(), task)
	if err != nil || len(drafts) != 1 || drafts[0].Event.GetNotified().GetOccasion() != releasev1.Occasion_OCCASION_ESCALATION {
		t.Fatalf("%v, %v", drafts, err)
	}
}

// dying is a chat whose process is killed after the message went out.
type dying struct{ notify.Channel }

var errKilled = errors.New("killed")

func (d dying) Send(ctx context.Context, key string, body []byte) (*releasev1.Receipt, bool) {
	d.Channel.Send(ctx, key, body)
	panic(errKilled)
}

func TestAChatIsToldOnceThoughTheProcessIsKilledBeforeItIsOnRecord(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	// What a killed process leaves behind: the intent, and the message in the chat.
	key := release + "/start/1/chat"
	if _, err := r.ledger.Begin(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it was not killed")
			}
		}()
		dying{r.channels["chat"]}.Send(t.Context(), key, []byte(`{"text": "about to start"}`))
	}()
	if _, err := r.Act(t, r.step(), release, r.now); err == nil {
		t.Error("another process may still be sending it, and it went on")
	}
	r.now = r.now.Add(time.Hour)
	if s, err := r.Act(t, r.step(), release, r.now); err != nil || s.Phase != procedure.PhaseExecute {
		t.Fatalf("phase %s, %v", s.Phase, err)
	}
	if x := r.told(t, release).GetReceipts()[1]; x.GetDelivered() || !strings.Contains(x.GetResponse(), "interrupted") {
		t.Errorf("receipt %v", x)
	}
	if n := len(r.chat.heard()); n != 1 {
		t.Errorf("the chat heard it %d times", n)
	}
}

func TestWhatWasDeliveredStaysSoThoughItCouldNotBeRecorded(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify)
	task := r.Task(t, release, r.now)
	first, err := r.step().Act(t.Context(), task) // and its draft is lost
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	for i, x := range r.told(t, release).GetReceipts() {
		if lost := first[0].Event.GetNotified().GetReceipts()[i]; !x.GetDelivered() || x.GetKey() != lost.GetKey() || x.GetBodyDigest() != lost.GetBodyDigest() {
			t.Errorf("receipt %v, was %v", x, lost)
		}
	}
	if len(r.chat.heard()) != 1 || len(r.ops.heard()) != 1 {
		t.Errorf("heard %v and %v", r.ops.heard(), r.chat.heard())
	}
}

func TestOnlyOneOfSeveralSendsWhatDidNotArrive(t *testing.T) {
	r := newRig(t)
	if _, err := r.ledger.Begin(t.Context(), "shop-a/start/1/chat"); err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.End(t.Context(), "shop-a/start/1/chat", nil); err != nil {
		t.Fatal(err)
	}
	var first, others int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			s, err := r.ledger.Begin(t.Context(), "shop-a/start/1/chat")
			mu.Lock()
			defer mu.Unlock()
			if err == nil && s.First {
				first++
			} else {
				others++
			}
		})
	}
	all.Wait()
	if first != 1 || others != 4 {
		t.Errorf("%d send it, %d do not", first, others)
	}
}

func TestWhatPeopleAreTold(t *testing.T) {
	r := newRig(t)
	release := r.Reach(t, procedure.PhaseNotify, proceduretest.Emergency)
	if _, err := r.Act(t, r.step(), release, r.now); err != nil {
		t.Fatal(err)
	}
	r.ops.mu.Lock()
	defer r.ops.mu.Unlock()
	all := strings.Join(r.ops.texts, "\n")
	for _, want := range []string{"Emergency release: shop 1.4.2 to production", "INC-77", "Bypassed: freeze", "Release about to start: shop 1.4.2"} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody is told %q in\n%s", want, all)
		}
	}
}
