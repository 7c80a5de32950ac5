package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// rows is every row of the projections, as text.
func rows(t *testing.T, dsn string) map[string][]string {
	t.Helper()
	conn := recordertest.Connect(t, dsn, migrations.Owner)
	out := map[string][]string{}
	for _, table := range []string{
		"events", "checkpoint", "releases", "release_targets", "release_people", "release_artifacts", "targets", "refusals", "procedures",
	} {
		found, err := conn.Query(t.Context(), "select t::text from "+table+" t order by 1")
		if err != nil {
			t.Fatal(err)
		}
		if out[table], err = pgx.CollectRows(found, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// several are histories of all kinds in one stream, their events in turn.
func several(t *testing.T) []ledger.Message {
	t.Helper()
	s := proceduretest.NewStream()
	ends := []procedure.Phase{
		procedure.PhaseClosed, procedure.PhaseHeld, procedure.PhaseEscalated, procedure.PhaseVerifyRollback,
		procedure.PhaseApprove, procedure.PhaseRecord,
	}
	var all []*proceduretest.History
	for i, end := range ends {
		h := s.New(proceduretest.Request(proceduretest.Key(fmt.Sprintf("key-%d", i)), proceduretest.Waves([]string{"eu1"}, []string{"us1", "us2"})))
		h.To(t, end)
		all = append(all, h)
	}
	emergency := s.New(proceduretest.Request(proceduretest.Emergency))
	emergency.To(t, procedure.PhaseFollowUp)
	return recordertest.Messages(append(all, emergency)...)
}

func TestTheSameRowsHoweverTheStreamIsCutIntoBatches(t *testing.T) {
	messages := several(t)
	var want map[string][]string
	for _, size := range []int{ledger.MaxBatch, 1, 7} {
		dsn := recordertest.Database(t)
		recordertest.Write(t, recordertest.Ledger(t, dsn), size, messages)
		got := rows(t, dsn)
		if len(got["events"]) != len(messages) || len(got["releases"]) != 7+1 { // With the way back of one.
			t.Fatalf("%d events and %d releases", len(got["events"]), len(got["releases"]))
		}
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("batches of %d give other rows: %s", size, diff)
		}
	}
}

func TestTheSameRowsWhenNothingIsKeptInMemory(t *testing.T) {
	messages := several(t)
	kept, forgetful := recordertest.Database(t), recordertest.Database(t)
	recordertest.Write(t, recordertest.Ledger(t, kept), 5, messages)
	for batch := range slices.Chunk(messages, 5) {
		recordertest.Write(t, recordertest.Ledger(t, forgetful), 5, batch)
	}
	if diff := cmp.Diff(rows(t, kept), rows(t, forgetful)); diff != "" {
		t.Error(diff)
	}
}

func TestTheSameRowsWhenBatchesArePreparedWhileOthersAreCommitted(t *testing.T) {
	messages := several(t)
	for _, size := range []int{1, 7} {
		one, ahead := recordertest.Database(t), recordertest.Database(t)
		recordertest.Write(t, recordertest.Ledger(t, one), size, messages)
		l := recordertest.Ledger(t, ahead)
		prepared := make(chan *ledger.Prepared)
		go func() {
			defer close(prepared)
			at := ledger.Checkpoint{}
			for batch := range slices.Chunk(messages, size) {
				p, err := l.Prepare(t.Context(), at, batch)
				if err != nil {
					t.Error(err)
					return
				}
				at = p.To()
				prepared <- p
			}
		}()
		for p := range prepared {
			w, err := l.Commit(t.Context(), p)
			if err != nil || w.Checkpoint != p.To() {
				t.Errorf("committed to %v, want %v (%v)", w.Checkpoint, p.To(), err)
			}
		}
		if diff := cmp.Diff(rows(t, one), rows(t, ahead)); diff != "" {
			t.Errorf("batches of %d: %s", size, diff)
		}
	}
}

func TestABatchThatWasPreparedOnOneThatFailedIsNotWritten(t *testing.T) {
	messages := several(t)
	dsn := recordertest.Database(t)
	l := recordertest.Ledger(t, dsn)
	first, err := l.Prepare(t.Context(), ledger.Checkpoint{}, messages[:3])
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Prepare(t.Context(), first.To(), messages[3:6])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), second); !errors.Is(err, ledger.ErrNotCurrent) {
		t.Errorf("got %v, want ErrNotCurrent", err)
	}
	l.Forget()
	recordertest.Write(t, l, 4, messages)
	alone := recordertest.Database(t)
	recordertest.Write(t, recordertest.Ledger(t, alone), 4, messages)
	if diff := cmp.Diff(rows(t, alone), rows(t, dsn)); diff != "" {
		t.Error(diff)
	}
}

func TestMessagesThatDoNotCountAreOnRecordAndChangeNothing(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseScope)
	stale := h.Next(nil, proceduretest.Gates(h.State()))
	stale.Event.Previous = &releasev1.Previous{Sequence: 1, Sha256: make([]byte, 32)}
	if h.Store(stale) == nil {
		t.Fatal("a stale event counts")
	}
	messages := recordertest.Messages(h)
	for i, subject := range []string{
		"rel." + h.Release + ".approval.gates_confirmed", "rel", "rel..x", "tgt.eu1.executor.target_locked", "rel.\xff\x00'; drop table events;--.a",
	} {
		messages = append(messages, ledger.Message{
			Sequence: h.Last + uint64(i) + 1, Subject: subject, Header: ledger.EncodeHeader(nats.Header{"k\x00": {"\xff\xfe", "b"}}),
			Body: []byte("{\"stream\":\"REL\",\"seq\":1}"), Stored: h.Now, Refused: fmt.Errorf("not signed: \x00\xff"),
		})
	}
	dsn := recordertest.Database(t)
	at := recordertest.Write(t, recordertest.Ledger(t, dsn), 4, messages)
	if at.Sequence != uint64(len(messages)) {
		t.Errorf("recorded to %d, want %d", at.Sequence, len(messages))
	}
	release, events, _, err := recordertest.Reader(t, dsn).Release(t.Context(), h.Release, true, false)
	if err != nil {
		t.Fatal(err)
	}
	if release.GetPhase() != "scope" || release.GetRejectedEvents() != 2 || release.GetLastSequence() != 2 {
		t.Errorf("phase %s, %d rejected, last %d", release.GetPhase(), release.GetRejectedEvents(), release.GetLastSequence())
	}
	if len(events) != 4 || events[2].Rejected == "" || events[2].Entry.Event == nil || events[3].Rejected == "" || events[3].Entry.Event != nil {
		t.Errorf("events on record: %+v", events)
	}
}

func TestOfTwoRecordersOneLosesAndNothingIsDoubled(t *testing.T) {
	messages := several(t)
	dsn := recordertest.Database(t)
	done := make(chan int)
	for range 2 {
		l := recordertest.Ledger(t, dsn)
		go func() {
			lost := 0
			for {
				l.Forget()
				at, err := l.Checkpoint(t.Context())
				if err != nil {
					t.Error(err)
				}
				for err == nil && at.Sequence < uint64(len(messages)) {
					var w ledger.Written
					w, err = l.Write(t.Context(), at, messages[at.Sequence:min(at.Sequence+3, uint64(len(messages)))])
					at = w.Checkpoint
				}
				if err == nil {
					break
				}
				if !errors.Is(err, ledger.ErrNotCurrent) {
					t.Error(err)
					break
				}
				lost++
			}
			done <- lost
		}()
	}
	t.Logf("lost races: %d and %d", <-done, <-done)
	alone := recordertest.Database(t)
	recordertest.Write(t, recordertest.Ledger(t, alone), 3, messages)
	if diff := cmp.Diff(rows(t, alone), rows(t, dsn)); diff != "" {
		t.Error(diff)
	}
}

func TestAGapIsRefused(t *testing.T) {
	messages := several(t)
	l := recordertest.Ledger(t, recordertest.Database(t))
	for name, batch := range map[string][]ledger.Message{
		"at the beginning": messages[1:3],
		"in the middle":    {messages[0], messages[2]},
		"repetition":       {messages[0], messages[0]},
		"nothing":          {},
		"too many":         make([]ledger.Message, ledger.MaxBatch+1),
	} {
		if _, err := l.Write(t.Context(), ledger.Checkpoint{}, batch); !errors.Is(err, ledger.ErrNotContiguous) {
			t.Errorf("%s: got %v, want ErrNotContiguous", name, err)
		}
	}
}

func TestAConnectionThatIsCutInTheMiddleLeavesAllOrNothing(t *testing.T) {
	messages := several(t)
	dsn := recordertest.Database(t)
	killer := recordertest.Connect(t, dsn, "none")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	kills := 0
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			var killed int
			err := killer.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
				where datname = current_database() and pid <> pg_backend_pid() and (query like '%insert into events%' or query like '%copy events%') and state <> 'idle'`).Scan(&killed)
			if err != nil {
				t.Error(err)
				return
			}
			kills += killed
		}
	}()
	l := recordertest.Ledger(t, dsn)
	failures := 0
	for at := (ledger.Checkpoint{}); at.Sequence < uint64(len(messages)); {
		w, err := l.Write(t.Context(), at, messages[at.Sequence:min(at.Sequence+2, uint64(len(messages)))])
		if err == nil {
			at = w.Checkpoint
			continue
		}
		if failures++; failures > 2000 {
			t.Fatal(err)
		}
		for {
			if at, err = l.Checkpoint(t.Context()); err == nil {
				break
			}
		}
	}
	stop()
	<-done
	t.Logf("%d connections were cut, %d batches failed", kills, failures)
	alone := recordertest.Database(t)
	recordertest.Write(t, recordertest.Ledger(t, alone), 2, messages)
	if diff := cmp.Diff(rows(t, alone), rows(t, dsn)); diff != "" {
		t.Error(diff)
	}
}

func TestStandingFactsOfTargetsRefusalsAndProcedures(t *testing.T) {
	at := proceduretest.Start
	carried := &releasev1.TargetState{
		Deployed: &releasev1.Deployment{Release: "shop-1", Version: "1.0.0", Digest: proceduretest.Digest('a'), Service: "shop"}, Generation: 3,
	}
	event := func(aggregate string, previous *releasev1.Previous, e *releasev1.Event) *releasev1.Event {
		e.Aggregate, e.Previous = aggregate, previous
		return e
	}
	none := procedure.State{}
	locked := proceduretest.Entry(none, 1, at, nil, event("tgt.eu1", nil, &releasev1.Event{Data: &releasev1.Event_TargetLocked{
		TargetLocked: &releasev1.TargetLocked{Release: "shop-2", State: carried},
	}}))
	unlocked := &releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{Release: "shop-2", State: carried}}}
	stale := proceduretest.Entry(none, 2, at, nil, event("tgt.eu1", &releasev1.Previous{Sequence: 7, Sha256: make([]byte, 32)}, unlocked))
	refused := proceduretest.Entry(none, 3, at, nil, event("req.r1", nil, &releasev1.Event{Data: &releasev1.Event_RequestRefused{
		RequestRefused: &releasev1.RequestRefused{Subject: "request.production.shop"},
	}}))
	activated := proceduretest.Entry(none, 4, at, nil, event("pol.proc-deploy-001", nil, &releasev1.Event{Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: "7", Digest: proceduretest.ProcedureDigest},
	}}))
	late := proceduretest.Entry(none, 5, at.Add(time.Hour), nil, event("tgt.eu1", nil, &releasev1.Event{
		Time: locked.Event.GetTime(), Data: unlocked.GetData(),
	}))
	var messages []ledger.Message
	for _, e := range []procedure.Entry{locked, stale, refused, activated, late} {
		messages = append(messages, recordertest.Message(e))
	}
	dsn := recordertest.Database(t)
	recordertest.Write(t, recordertest.Ledger(t, dsn), 2, messages)
	got := rows(t, dsn)
	if len(got["targets"]) != 1 || len(got["refusals"]) != 1 || len(got["procedures"]) != 1 {
		t.Fatalf("rows: %v", got)
	}
	conn := recordertest.Connect(t, dsn, migrations.Reader)
	var holder string
	var generation, rejected int
	err := conn.QueryRow(t.Context(), `select locked_by, generation, (select count(*) from events where rejected is not null) from targets`).
		Scan(&holder, &generation, &rejected)
	if err != nil || holder != "shop-2" || generation != 3 || rejected != 2 {
		t.Errorf("target is held by %q in generation %d, %d events rejected (%v)", holder, generation, rejected, err)
	}
}
