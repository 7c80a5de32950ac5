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
	conn, err := nats.Connect(o.URL)
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
	l := verify.NewLater(policy.NewSource(kept.Get), check.Bake{Probers: map[string]check.Prober{"http": httpcheck.Prober{}}}, places, kept, store, nil, time.Now)
	for {
		if err := l.Round(context.Background()); err != nil {
			return err
		}
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
	<-asked
	if err := cmd.Wait(); err == nil {
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
