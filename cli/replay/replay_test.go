package replay_test

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func signatureOf(header string) (id string, signature []byte) {
	id, text, _ := strings.Cut(header, " ")
	signature, _ = base64.StdEncoding.DecodeString(text)
	return id, signature
}

func (g *generator) replay(t *testing.T, blobs replay.Blobs, messages []*recorderv1.RecordedEvent) replay.Report {
	t.Helper()
	report, err := replay.New(envelopetest.Ring(), blobs).Release(t.Context(), g.Release, messages)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestAThousandReleasesReplayIdentically has generated ones, of every lane and outcome,
// whose decisions were made by the steps themselves.
func TestAThousandReleasesReplayIdentically(t *testing.T) {
	w := newWorld(t)
	r := replay.New(envelopetest.Ring(), w.kept.Get)
	waived := 0
	outcomes, derived := map[releasev1.Outcome]int{}, map[string]int{}
	for seed := range uint64(1000) {
		g := w.release(t, seed)
		report, err := r.Release(t.Context(), g.Release, g.messages)
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() || len(report.Decisions)+report.Uncounted != len(g.messages) || report.Uncounted != len(g.Rejected) {
			t.Fatalf("seed %d: %+v", seed, report)
		}
		for _, d := range report.Decisions {
			if d.Result != replay.Taken {
				derived[d.Type]++
			}
			if d.Result != replay.Derived && len(d.Taken) == 0 || d.Result == replay.Derived && len(d.Taken) > 0 {
				t.Errorf("seed %d: %+v: what was taken is not named, or is and counts as derived", seed, d)
			}
		}
		outcomes[g.State().Outcome]++
		waived += len(g.State().Waivers())
	}
	for _, kind := range []string{
		"requested", "gates_confirmed", "gates_refused", "gates_held", "risk_cleared", "held", "approval_given", "authorized", "execution_claimed",
		"deadline_passed", "verification_passed", "verification_failed", "verification_inconclusive", "recorded",
	} {
		if derived[kind] == 0 {
			t.Errorf("no %s was ever derived: %v", kind, derived)
		}
	}
	if outcomes[releasev1.Outcome_OUTCOME_SUCCEEDED] < 100 || outcomes[releasev1.Outcome_OUTCOME_REJECTED] < 100 || outcomes[releasev1.Outcome_OUTCOME_ROLLED_BACK] < 10 {
		t.Errorf("outcomes %v", outcomes)
	}
	if waived < 10 {
		t.Errorf("%d waivers", waived)
	}
}

// successful is a generated release that went all the way.
func (w *world) successful(t *testing.T, changes ...func(*generator)) *generator {
	t.Helper()
	for seed := range uint64(1000) {
		if g := w.release(t, seed, changes...); g.State().Outcome == releasev1.Outcome_OUTCOME_SUCCEEDED {
			return g
		}
	}
	t.Fatal("none succeeded")
	return nil
}

// TestEveryChangedByteOfAnInputIsReported flips one bit of every byte that is stored of a
// release: of its events and of all evidence that replaying it reads. What looks at a byte first
// is asked about each of them, the check of a signature and that of a digest. That the replay
// then reports it is seen at some places all over each thing, and needs no more: neither of the
// two tells what follows it anything but that something was changed. A whole replay takes
// milliseconds, and these are 30 000 bytes.
func TestEveryChangedByteOfAnInputIsReported(t *testing.T) {
	w := newWorld(t)
	w.kept = maps.Clone(w.kept)
	g := w.successful(t)
	if report := g.replay(t, w.kept.Get, g.messages); !report.OK() {
		t.Fatalf("untouched: %+v", report)
	}
	r := replay.New(envelopetest.Ring(), w.kept.Get)
	for i, m := range g.messages {
		everyByte(t, m)
		for what, field := range map[string]func(*recorderv1.RecordedEvent) []byte{
			"body": (*recorderv1.RecordedEvent).GetBody, "signature": (*recorderv1.RecordedEvent).GetSignature,
		} {
			for _, at := range places(len(field(m))) {
				changed := slices.Clone(g.messages)
				changed[i] = proto.CloneOf(m)
				field(changed[i])[at] ^= 1
				report, err := r.Release(t.Context(), g.Release, changed)
				if err != nil || report.OK() || !slices.ContainsFunc(report.Decisions, func(d replay.Decision) bool {
					return d.Result == replay.Differs && d.Sequence == m.GetSequence()
				}) {
					t.Fatalf("%s of event %d, byte %d: %+v", what, m.GetSequence(), at, report)
				}
			}
		}
	}
	used := map[string]bool{}
	g.replay(t, func(ctx context.Context, digest string) ([]byte, error) {
		used[digest] = true
		return w.kept.Get(ctx, digest)
	}, g.messages)
	if len(used) < 5 { // the document, the root, the evidence, what was shown, samples
		t.Errorf("used %v", used)
	}
	for digest := range used {
		g.flipped(t, w, digest)
	}
}

// places are some of n bytes, all over them.
func places(n int) (all []int) {
	for i := 0; i < n; i += max(n/3, 1) {
		all = append(all, i)
	}
	return append(all, n-1)
}

// everyByte reads an event with each byte of it changed.
func everyByte(t *testing.T, m *recorderv1.RecordedEvent) {
	t.Helper()
	subject, signer, signature, body := []byte(m.GetSubject()), []byte(m.GetSignedBy()), slices.Clone(m.GetSignature()), slices.Clone(m.GetBody())
	open := func() error {
		_, err := envelope.Reopen(envelopetest.Ring(), string(subject), string(signer), signature, body, m.GetSequence(), m.GetStored().AsTime())
		return err
	}
	if err := open(); err != nil {
		t.Fatalf("untouched: %v", err)
	}
	for what, part := range map[string][]byte{"subject": subject, "signer": signer, "signature": signature, "body": body} {
		for at := range part {
			bit := byte(1) << (at % 8)
			part[at] ^= bit
			if open() == nil {
				t.Fatalf("%s of event %d, byte %d is another one, and counts", what, m.GetSequence(), at)
			}
			part[at] ^= bit
		}
	}
}

// flipped replays the release with changed bytes in what is stored under that digest, and
// without it.
func (g *generator) flipped(t *testing.T, w *world, digest string) {
	t.Helper()
	content := slices.Clone(w.kept[digest])
	blob := replay.Blob(func(context.Context, string) ([]byte, error) { return content, nil })
	for at := range content {
		bit := byte(1) << (at % 8)
		content[at] ^= bit
		if _, err := blob(t.Context(), digest); err == nil {
			t.Fatalf("evidence %s, byte %d is another one, and is read", digest, at)
		}
		content[at] ^= bit
	}
	if _, err := blob(t.Context(), digest); err != nil {
		t.Fatalf("untouched: %v", err)
	}
	for _, at := range places(len(w.kept[digest])) {
		report := g.replay(t, func(ctx context.Context, d string) ([]byte, error) {
			content, err := w.kept.Get(ctx, d)
			if d == digest {
				content = slices.Clone(content)
				content[at] ^= 1
			}
			return content, err
		}, g.messages)
		if i := slices.IndexFunc(report.Decisions, func(d replay.Decision) bool { return d.Result == replay.Differs }); i < 0 ||
			!strings.Contains(report.Decisions[i].Detail, "input "+digest+": what is stored has the digest sha256:") {
			t.Fatalf("evidence %s, byte %d: %+v", digest, at, report)
		}
	}
	report := g.replay(t, func(ctx context.Context, d string) ([]byte, error) {
		if d == digest {
			return nil, replay.ErrMissing
		}
		return w.kept.Get(ctx, d)
	}, g.messages)
	if report.OK() {
		t.Fatalf("without evidence %s: %+v", digest, report)
	}
}

// TestASignedLieIsReported has decisions that do not follow from what is stored, although
// whoever made them has the key of the service.
func TestASignedLieIsReported(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		lie  func(*releasev1.Event)
		want string
	}{
		"a reason of a verdict": {func(e *releasev1.Event) {
			for _, v := range e.GetGatesConfirmed().GetVerdicts() {
				v.Reason = "trust me"
			}
		}, `recorded is "reason": "trust me"`},
		"a clock value of another day": {func(e *releasev1.Event) {
			if e.GetGatesConfirmed() != nil {
				e.Decided = timestamppb.New(e.GetDecided().AsTime().Add(-24 * time.Hour))
			}
		}, "it was decided by the clock value"},
		"a proof of the way back that nobody demanded": {func(e *releasev1.Event) {
			for _, p := range e.GetChangePreviewed().GetPreviews() {
				p.Rollback = &releasev1.RollbackProof{Possible: true, Obtainable: true, Demanded: true}
			}
		}, "the proof of the way back is demanded: derived is false, recorded is true"},
		"a smaller quorum": {func(e *releasev1.Event) {
			if e.GetRiskCleared() != nil {
				e.GetRiskCleared().Quorum = []*releasev1.QuorumRule{{Group: "security", Count: 1}}
			}
		}, `recorded is "group": "security"`},
		"a group that the person is not in": {func(e *releasev1.Event) {
			if e.GetApprovalGiven() != nil {
				e.Actor.Groups = append(e.GetActor().GetGroups(), "operators")
			}
		}, "is not in operators by the procedure document"},
		"something else that was shown": {func(e *releasev1.Event) {
			if e.GetApprovalGiven() != nil {
				e.GetApprovalGiven().ShownDigest = w.kept.put([]byte("{}")).GetDigest()
			}
		}, "is nothing that there was to be seen"},
		"a longer authorization": {func(e *releasev1.Event) {
			if x := e.GetAuthorized(); x != nil {
				x.ValidUntil = timestamppb.New(x.GetValidUntil().AsTime().Add(time.Hour))
			}
		}, "validUntil"},
		"a record of something else": {func(e *releasev1.Event) {
			if e.GetRecorded() != nil {
				e.GetRecorded().RecordDigest = "sha256:00"
			}
		}, "recordDigest"},
		"samples that say otherwise": {func(e *releasev1.Event) {
			for _, r := range e.GetVerificationPassed().GetVerification().GetResults() {
				r.Samples++
			}
		}, "samples"},
	} {
		t.Run(name, func(t *testing.T) {
			g := w.successful(t)
			var lied *generator
			for seed := range uint64(1000) {
				if w.release(t, seed).Release == g.Release {
					lied = w.release(t, seed, func(g *generator) { g.lie = test.lie })
					break
				}
			}
			report := lied.replay(t, w.kept.Get, lied.messages)
			if i := slices.IndexFunc(report.Decisions, func(d replay.Decision) bool { return d.Result == replay.Differs }); i < 0 ||
				!strings.Contains(report.Decisions[i].Detail, test.want) {
				t.Errorf("%+v", report.Decisions)
			}
		})
	}
}

// TestTheRecordOfAWayBackReplays: its digest is computed again from the events of the release,
// and another one is told. Of releases that were recorded before there was one nothing is missing.
func TestTheRecordOfAWayBackReplays(t *testing.T) {
	w := newWorld(t)
	var with, before, told int
	for seed := range uint64(300) {
		var at int
		lie := func(e *releasev1.Event) {
			for _, r := range e.GetRecorded().GetRollbacks() {
				r.RecordDigest = "sha256:00"
			}
		}
		g := w.release(t, seed)
		for _, m := range g.messages {
			if n := len(m.GetEvent().GetRecorded().GetRollbacks()); m.GetRejected() == "" && n > 0 {
				at = n
			}
		}
		switch s := g.State(); {
		case at == 0 && s.Recorded && len(s.Rollbacks) > 0:
			before++
		case at == 0:
			continue
		default:
			lied := w.release(t, seed, func(g *generator) { g.lie = lie })
			if len(lied.messages) != len(g.messages) {
				continue // What could not be read in time makes another history of the same seed.
			}
			with++
			report := lied.replay(t, w.kept.Get, lied.messages)
			if slices.ContainsFunc(report.Decisions, func(d replay.Decision) bool {
				return d.Result == replay.Differs && strings.Contains(d.Detail, "recordDigest")
			}) {
				told++
			} else {
				t.Logf("seed %d: %+v", seed, report)
			}
		}
		if report := g.replay(t, w.kept.Get, g.messages); !report.OK() {
			t.Errorf("seed %d: %+v", seed, report)
		}
		if with >= 3 && before >= 1 {
			break
		}
	}
	if with < 3 || before < 1 || told != with {
		t.Errorf("%d releases with records of ways back, %d of before; of %d another digest was told", with, before, told)
	}
}

// TestAChangeRecordThatIsDemandedCannotBeLeftOut has a service confirm the gates of a
// release without a word on the change record that the document demands.
func TestAChangeRecordThatIsDemandedCannotBeLeftOut(t *testing.T) {
	w := newWorld(t, func(d *policyv1.Procedure) {
		d.ChangeRecords = []*policyv1.ChangeRecordRule{{Name: "change", Connector: "jira", System: "jira", IdPattern: "CHG.*", States: []string{"open"}}}
	})
	for seed := range uint64(100) {
		lied := false
		g := w.release(t, seed, func(g *generator) {
			g.lie = func(e *releasev1.Event) {
				others := slices.DeleteFunc(slices.Clone(e.GetGatesRefused().GetVerdicts()), func(v *releasev1.GateVerdict) bool { return v.GetGate() == "change" })
				if e.GetGatesRefused() == nil || slices.ContainsFunc(others, func(v *releasev1.GateVerdict) bool { return v.GetStatus() != releasev1.GateVerdict_STATUS_PASSED }) {
					return
				}
				lied = true
				e.Data = &releasev1.Event_GatesConfirmed{GatesConfirmed: &releasev1.GatesConfirmed{Verdicts: others, Found: e.GetGatesRefused().GetFound()}}
			}
		})
		if !lied {
			continue
		}
		report := g.replay(t, w.kept.Get, g.messages)
		if i := slices.IndexFunc(report.Decisions, func(d replay.Decision) bool { return d.Result == replay.Differs }); i < 0 ||
			!strings.Contains(report.Decisions[i].Detail, "change record that change demands") {
			t.Errorf("%+v", report.Decisions)
		}
		return
	}
	t.Fatal("no release would have passed the other gates")
}

// TestWhatTheRecordLeavesOutOrShowsOtherwiseIsReported has a recorder that is not honest.
func TestWhatTheRecordLeavesOutOrShowsOtherwiseIsReported(t *testing.T) {
	w := newWorld(t)
	g := w.successful(t)
	for name, change := range map[string]func([]*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent{
		"an event is missing": func(all []*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent { return slices.Delete(all, 2, 3) },
		"nothing is there":    func([]*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent { return nil },
		"two change places": func(all []*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent {
			all[1], all[2] = all[2], all[1]
			return all
		},
		"one is said to count": func(all []*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent {
			return append(all, sequenced(all[1], 999))
		},
		"one is said not to count": func(all []*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent {
			all[1].Rejected = "no"
			return all
		},
		"another text is shown": func(all []*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent {
			all[1].Event.Id = "other"
			return all
		},
		"another key": func(all []*recorderv1.RecordedEvent) []*recorderv1.RecordedEvent {
			all[1].SignedBy = envelopetest.KeyID(procedure.ServiceRecorder)
			return all
		},
	} {
		t.Run(name, func(t *testing.T) {
			all := make([]*recorderv1.RecordedEvent, len(g.messages))
			for i, m := range g.messages {
				all[i] = proto.CloneOf(m)
			}
			if report := g.replay(t, w.kept.Get, change(all)); report.OK() {
				t.Errorf("%+v", report)
			}
		})
	}
}

func sequenced(m *recorderv1.RecordedEvent, sequence uint64) *recorderv1.RecordedEvent {
	m = proto.CloneOf(m)
	m.Sequence = sequence
	return m
}

// TestHistoriesOfBeforeTheClockWasKeptReplayInPart: what hangs on the clock is taken, and
// the report says so.
func TestHistoriesOfBeforeTheClockWasKeptReplayInPart(t *testing.T) {
	w := newWorld(t)
	g := w.successful(t, func(g *generator) { g.old = true })
	report := g.replay(t, w.kept.Get, g.messages)
	if !report.OK() {
		t.Fatalf("%+v", report)
	}
	for _, d := range report.Decisions {
		if d.Type == "gates_confirmed" && (d.Result != replay.Partly || !strings.Contains(strings.Join(d.Taken, ";"), "clock value")) {
			t.Errorf("%+v", d)
		}
	}
}
