package show_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/show"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// hostile is what somebody writes into a field to draw on another one's terminal.
const hostile = "ok\x1b[2J\x07\r\u009b\u202e\u2028end"

// fill writes the hostile text into every text that the message can hold, and a
// number into every number, so that nothing is left out because it is zero.
func fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.ContainingOneof() != nil && !f.HasOptionalKeyword() && f != f.ContainingOneof().Fields().Get(0):
		case f.IsMap():
		case f.IsList():
			list := m.Mutable(f).List()
			if f.Message() == nil {
				list.Append(value(f))
			} else if depth > 0 {
				fill(list.AppendMutable().Message(), depth-1)
			}
		case f.Message() != nil:
			if depth > 0 {
				fill(m.Mutable(f).Message(), depth-1)
			}
		default:
			m.Set(f, value(f))
		}
	}
}

func value(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() { //nolint:exhaustive // The contract has no others.
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(hostile)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(hostile))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(99)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(7)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(7)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(7)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(7)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(7)
	}
	return f.Default()
}

func filled[M proto.Message](m M) M {
	fill(m.ProtoReflect(), 6)
	return m
}

// everyEvent is one event of each kind.
func everyEvent() []*recorderv1.RecordedEvent {
	var out []*recorderv1.RecordedEvent
	data := (&releasev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("data").Fields()
	for i := range data.Len() {
		e := &releasev1.Event{Actor: &releasev1.Actor{Id: hostile, Groups: []string{hostile}}}
		fill(e.ProtoReflect().Mutable(data.Get(i)).Message(), 6)
		out = append(out, &recorderv1.RecordedEvent{Event: e})
	}
	return out
}

// views are everything that this package writes, of full messages and of empty ones.
func views(full bool) map[string]func(io.Writer) error {
	release, pending, refusal, violation := &recorderv1.Release{}, &approvalv1.Pending{}, &recorderv1.Refusal{}, &releasev1.Violation{}
	var events []*recorderv1.RecordedEvent
	if full {
		release, pending, refusal, violation = filled(release), filled(pending), filled(refusal), filled(violation)
		events = everyEvent()
	}
	return map[string]func(io.Writer) error{
		"describe":      func(w io.Writer) error { return show.Describe(w, release, events) },
		"decide":        func(w io.Writer) error { return show.Decide(w, pending) },
		"releases":      func(w io.Writer) error { return show.Releases(w, []*recorderv1.Release{release}, true) },
		"pending":       func(w io.Writer) error { return show.Pending(w, []*approvalv1.Pending{pending}, true) },
		"refusals":      func(w io.Writer) error { return show.Refusals(w, []*recorderv1.Refusal{refusal}, false) },
		"wide refusals": func(w io.Writer) error { return show.Refusals(w, []*recorderv1.Refusal{refusal}, true) },
		"violations":    func(w io.Writer) error { return show.Violations(w, []*releasev1.Violation{violation}) },
	}
}

func TestNothingThatOthersWroteIsObeyed(t *testing.T) {
	for name, view := range views(true) {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := view(&out); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), `ok\x1b[2J\a`) {
				t.Fatalf("the hostile text is not in it, so nothing was tried:\n%s", out.String())
			}
			if i := strings.IndexAny(out.String(), "\x1b\x07\r\u009b\u202e\u2028"); i >= 0 {
				t.Errorf("a control came through: %q", out.String()[max(0, i-60):min(out.Len(), i+20)])
			}
		})
	}
}

func TestEmptyMessagesAreShown(t *testing.T) {
	for name, view := range views(false) {
		var out bytes.Buffer
		if err := view(&out); err != nil || out.Len() == 0 {
			t.Errorf("%s: %d bytes, error %v", name, out.Len(), err)
		}
	}
}

// TestTheChecksOfEveryWaveAreShown: the newest of each wave, and those of the way back.
func TestTheChecksOfEveryWaveAreShown(t *testing.T) {
	verified := func(wave uint32, back bool, target, reason string) *recorderv1.RecordedEvent {
		return &recorderv1.RecordedEvent{Event: &releasev1.Event{Data: &releasev1.Event_VerificationFailed{
			VerificationFailed: &releasev1.VerificationFailed{Verification: &releasev1.Verification{Wave: wave, Rollback: back, Results: []*releasev1.CheckResult{
				{Check: "healthy", Target: target, Verdict: releasev1.CheckResult_VERDICT_PASS, Samples: 3, Passed: 3, Reason: reason},
			}}},
		}}}
	}
	var out bytes.Buffer
	err := show.Describe(&out, &recorderv1.Release{Release: "shop-1"}, []*recorderv1.RecordedEvent{
		verified(0, false, "eu1", "at first"), verified(0, false, "eu1", "again"), verified(1, false, "us1", "later"), verified(1, true, "eu1", "back"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "Checks\n" +
		"  OF         TARGET   CHECK     VERDICT   SAMPLES                 REASON\n" +
		"  wave 1     eu1      healthy   pass      3 of 3 samples passed   again\n" +
		"  wave 2     us1      healthy   pass      3 of 3 samples passed   later\n" +
		"  way back   eu1      healthy   pass      3 of 3 samples passed   back\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestAnApproverSeesAllThatDecides: of the catalogue, too, with what is expected.
func TestAnApproverSeesAllThatDecides(t *testing.T) {
	ratio, status := 0.95, uint32(204)
	var out bytes.Buffer
	err := show.Decide(&out, &approvalv1.Pending{
		Artifacts: []*releasev1.PinnedArtifact{{Name: "web", Digest: "sha256:aa"}},
		Request: &releasev1.Request{
			Validation: &releasev1.Validation{Bake: durationpb.New(time.Minute), Interval: durationpb.New(time.Second)},
			NotBefore:  timestamppb.New(time.Date(2026, 12, 1, 20, 0, 0, 0, time.UTC)),
			RollbackPlan: &releasev1.RollbackPlan{
				Strategy: releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION, Description: "Place it again.",
				Checks: []*releasev1.Check{{Name: "old-port", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}},
			},
		},
		Gates: []*releasev1.GateVerdict{{Gate: "tests", Rule: "not older than a week"}},
		Checks: []*releasev1.Check{
			{Name: "healthy", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/healthz", ExpectStatus: &status, ExpectBody: "ok"}}, MinPassRatio: &ratio},
			{Name: "port", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{Timeout: durationpb.New(2 * time.Second)}}},
		},
	})
	want := "Counts as good when\n" +
		"  healthy         http /healthz answers 204 with \"ok\" within 5s   95% of the samples, at least 2; 3 failures in a row end it\n" +
		"  port            tcp connects within 2s                          all samples, at least 2; 3 failures in a row end it\n" +
		"  target.digest   every target runs sha256:aa                     at the beginning and at the end\n" +
		"  over            1m0s                                            each check every 1s\n"
	for _, want := range []string{
		want, "Not before:", "2026-12-01T20:00:00Z", "Way back (previous-version)\n  Place it again.\n", "What the gates demand\n  tests   not older than a week\n",
		"The way back counts as good when\n  old-port   tcp connects within 5s   all samples",
	} {
		if err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("error %v, without %q:\n%s", err, want, out.String())
		}
	}
}

// TestWhoDecidesHasTakenTheEscalationOn: a release that was accepted calls nobody.
func TestWhoDecidesHasTakenTheEscalationOn(t *testing.T) {
	event := func(by string, e *releasev1.Event) *recorderv1.RecordedEvent {
		e.Actor = &releasev1.Actor{Id: by}
		return &recorderv1.RecordedEvent{Event: e}
	}
	var out bytes.Buffer
	err := show.Describe(&out, &recorderv1.Release{Release: "shop-1", Closed: true}, []*recorderv1.RecordedEvent{
		event("executor", &releasev1.Event{Data: &releasev1.Event_RollbackUnavailable{RollbackUnavailable: &releasev1.RollbackUnavailable{Reason: "nothing ran before"}}}),
		event("approval", &releasev1.Event{Data: &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{Cause: releasev1.Cause_CAUSE_ROLLBACK_UNAVAILABLE}}}),
		event("erin", &releasev1.Event{Data: &releasev1.Event_Intervened{Intervened: &releasev1.Intervened{Action: releasev1.Intervened_ACTION_ACCEPT}}}),
	})
	if err != nil || !strings.Contains(out.String(), "taken on by erin") || strings.Contains(out.String(), "open, acknowledge") {
		t.Errorf("error %v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "No way back\n  nothing ran before\n") {
		t.Errorf("why there is no way back is not told:\n%s", out.String())
	}
}
