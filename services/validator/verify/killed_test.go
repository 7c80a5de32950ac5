package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/httpcheck"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/verify"
)

// lookEnv tells a test binary that it is a validator, and which one.
const lookEnv = "SHIPWARDEN_VERIFY_VALIDATOR"

// order is what a validator in a process of its own looks at.
type order struct {
	URL     string            `json:"url"`
	Targets map[string]string `json:"targets"`
	// Release is verified, where it is named; without it, releases are looked at again.
	Release string `json:"release,omitempty"`
}

func TestMain(m *testing.M) {
	if text := os.Getenv(lookEnv); text != "" {
		fmt.Fprintln(os.Stderr, validate(text))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// validate looks again at whatever is due, until it is killed.
func validate(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	conn, err := nats.Connect(o.URL, nats.Timeout(30*time.Second))
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	places := map[string]*target.Target{}
	for id, url := range o.Targets {
		if places[id], err = target.New(&configv1.TargetAddress{Target: id, BaseUrl: url, DigestPath: "/digest"}, nil); err != nil {
			return err
		}
	}
	kept := evidence.New(js)
	store := eventstore.New(js, envelopetest.Ring(), envelopetest.Signer(procedure.ServiceValidator), time.Now)
	if o.Release != "" {
		step := verify.New(policy.NewSource(kept.Get), check.Bake{Probers: map[string]check.Prober{"http": httpcheck.Prober{}}}, places, kept, store)
		return verifying(context.Background(), store, step, o.Release)
	}
	l := verify.NewLater(policy.NewSource(kept.Get), check.Bake{Probers: map[string]check.Prober{"http": httpcheck.Prober{}}}, places, kept, store, nil, time.Now)
	for range time.Tick(20 * time.Millisecond) { // The rest of the machine has work to do, too.
		if err := l.Round(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// verifying takes turns of step 6 of a release until it is killed.
func verifying(ctx context.Context, store *eventstore.Store, step reactor.Step, release string) error {
	for {
		h, err := store.Load(ctx, procedure.Aggregate(release))
		if err != nil {
			return err
		}
		s, _ := procedure.Fold(release, h.Entries)
		drafts, err := step.Act(ctx, reactor.Task{State: s, History: h, Cause: h.Entries[len(h.Entries)-1], Delivery: 1, Now: time.Now()})
		if err != nil {
			return err
		}
		if _, err := store.Append(ctx, drafts...); err != nil {
			return err
		}
	}
}

// awaited tells how a process ends.
func awaited(cmd *exec.Cmd) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return ended
}

// TestAValidatorThatIsKilledLeavesPeopleTheirTime: it has asked them, and until when is on record;
// whoever takes over asks nobody again, and takes what was answered while nobody looked.
func TestAValidatorThatIsKilledLeavesPeopleTheirTime(t *testing.T) {
	t.Parallel()
	eu1 := newPlace(t, released)
	r := newRig(t, "", map[string]*place{"eu1": eu1}, bake(timeToAnswer, 100*time.Millisecond), asksFinance)
	r.to(t, procedure.PhaseVerify)
	text, err := json.Marshal(order{URL: r.URL(), Targets: map[string]string{"eu1": eu1.URL}, Release: r.id})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), lookEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	begun := atWork(eu1)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := awaited(cmd)
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("it has not looked: %v", err)
	}
	_ = cmd.Process.Kill()
	eu1.whenAsked(nil)
	if err := <-ended; err == nil {
		t.Fatal("the validator was not killed")
	}
	asked := r.state(t)
	if len(procedure.Unanswered(asked)) != 1 {
		t.Fatalf("it looked, and asks %v", asked.SignOffs)
	}
	r.answer(t, true)
	event, err := r.turn(t)
	if err != nil || event.GetVerificationPassed() == nil {
		t.Fatalf("%v: %v", event, err)
	}
	h, s := r.history(t)
	told := 0
	for _, e := range h.Entries {
		if e.Event.GetSignOffWanted() != nil {
			told++
		}
	}
	if told != 1 || s.Events != asked.Events+2 || verification(event).GetEnded().AsTime().Before(asked.SignOffs[0].Until.Add(-100*time.Millisecond)) {
		t.Errorf("asked %d times, %d events more, ended at %s with time until %s", told, s.Events-asked.Events, verification(event).GetEnded().AsTime(), asked.SignOffs[0].Until)
	}
}

// TestAValidatorThatIsKilledInALookTellsNothing: another one looks in its place, at what is due then,
// and what was seen is told once.
func TestAValidatorThatIsKilledInALookTellsNothing(t *testing.T) {
	t.Parallel()
	eu1 := newPlace(t, released)
	r := newRig(t, "reverify: {every: 2s, during: 120s, look: 500ms, unseen: 2}\n", map[string]*place{"eu1": eu1})
	r.verified(t)
	text, err := json.Marshal(order{URL: r.URL(), Targets: map[string]string{"eu1": eu1.URL}})
	if err != nil {
		t.Fatal(err)
	}
	before := eu1.count("/healthz")
	cmd := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), lookEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	asked := make(chan struct{})
	eu1.whenAsked(func() {
		if eu1.count("/healthz") > before { // It has looked once, and not often enough.
			eu1.whenAsked(nil)
			_ = cmd.Process.Kill()
			close(asked)
		}
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := awaited(cmd)
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("it has not looked: %v", err)
	}
	if err := <-ended; err == nil {
		t.Fatal("the validator was not killed")
	}
	if later := r.state(t).Later; later.Looks != 0 {
		t.Fatalf("it has told what it has not seen to its end: %+v", later)
	}
	heir := r.looker(t, nil, nil)
	heir.sees(t, verify.SeenPassed)
	h, s := r.history(t)
	told := 0
	for _, e := range h.Entries {
		if e.Event.GetReverified() != nil || e.Event.GetVerificationRevoked() != nil {
			told++
		}
	}
	if told != 1 || s.Later.Looks != 1 || s.Later.Number < 1 || s.Later.Unseen != 0 {
		t.Errorf("told %d times: %+v", told, s.Later)
	}
}
