package rebuild_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/rebuild"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(pgtest.Run(m))
}

// live publishes releases and records them; the rest of a stream is more releases.
type live struct {
	n        natstest.Server
	dsn      string
	stream   *proceduretest.Stream
	ledger   *ledger.Ledger
	recorder *record.Recorder
	count    int
}

func start(t *testing.T) *live {
	t.Helper()
	l := &live{n: natstest.Single(t), dsn: recordertest.Database(t), stream: recordertest.LiveStream()}
	eventstoretest.Provision(t, l.n)
	l.ledger = recordertest.Ledger(t, l.dsn)
	l.recorder = record.New(l.n.JetStream(), envelopetest.Ring(), l.ledger, nil, nil)
	return l
}

// release publishes and records one release.
func (l *live) release(t *testing.T, to procedure.Phase) {
	t.Helper()
	l.count++
	h := l.stream.New(proceduretest.Request(proceduretest.Key(fmt.Sprint("k", l.count)), proceduretest.Waves([]string{"eu1", "eu2"}, []string{"us1"})))
	h.To(t, to)
	recordertest.Publish(t, l.n, h.Entries...)
	if err := l.recorder.Until(t.Context(), l.stream.Last); err != nil {
		t.Fatal(err)
	}
}

// afterwards publishes and records a release that takes another one back, and what is
// to be done after it.
func (l *live) afterwards(t *testing.T) {
	t.Helper()
	h := l.stream.New(proceduretest.Request(proceduretest.Key("back"), proceduretest.Rollback))
	h.To(t, procedure.PhaseClosed)
	h.Do(t, "otto", proceduretest.FollowUp(h.State()))
	recordertest.Publish(t, l.n, h.Entries...)
	if err := l.recorder.Until(t.Context(), l.stream.Last); err != nil {
		t.Fatal(err)
	}
}

// goneBack publishes and records a release that went back, to the end of both records.
func (l *live) goneBack(t *testing.T) {
	t.Helper()
	h := l.stream.New(proceduretest.Request(proceduretest.Key("gone back")))
	h.To(t, procedure.PhaseVerifyRollback)
	h.To(t, procedure.PhaseClosed)
	recordertest.Publish(t, l.n, h.Entries...)
	if err := l.recorder.Until(t.Context(), l.stream.Last); err != nil {
		t.Fatal(err)
	}
}

func (l *live) rebuild(t *testing.T) *rebuild.Rebuild {
	t.Helper()
	r, err := rebuild.Start(t.Context(), l.dsn, l.n.JetStream(), envelopetest.Ring())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func (l *live) exec(t *testing.T, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), l.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "set search_path to shipwarden; "+statement); err != nil {
		t.Fatal(err)
	}
}

func TestARebuiltRecordIsTheSameByteForByte(t *testing.T) {
	l := start(t)
	for _, to := range []procedure.Phase{procedure.PhaseClosed, procedure.PhaseEscalated, procedure.PhaseVerifyRollback, procedure.PhaseApprove} {
		l.release(t, to)
	}
	l.afterwards(t)
	l.goneBack(t)
	if _, err := l.n.JetStream().Publish(t.Context(), "rel.foreign.x.y", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	l.stream.Last++
	r := l.rebuild(t)
	// The live record goes on while the other is built.
	l.release(t, procedure.PhaseRecord)
	report, err := r.Compare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	report.Print(&text)
	if report.Differs() || report.Sequence != l.stream.Last {
		t.Errorf("as of %d, want %d:\n%s", report.Sequence, l.stream.Last, text.String())
	}
	for _, table := range report.Tables {
		if table.Name == "events" && fmt.Sprint(table.Live) != fmt.Sprint(l.stream.Last) || table.Name == "releases" && table.Live != 7+2 { // With two ways back.
			t.Errorf("%d rows in %s", table.Live, table.Name)
		}
	}
}

func TestARebuildTellsHowFarItIs(t *testing.T) {
	l := start(t)
	l.release(t, procedure.PhaseClosed)
	first := l.stream.Last
	type step struct{ done, of uint64 }
	var steps []step
	r, err := rebuild.Start(t.Context(), l.dsn, l.n.JetStream(), envelopetest.Ring(),
		rebuild.WithProgress(func(done, of uint64) { steps = append(steps, step{done, of}) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if len(steps) < 2 || steps[0] != (step{0, first}) || steps[len(steps)-1] != (step{first, first}) {
		t.Errorf("told %v, want from 0 to %d", steps, first)
	}
	l.release(t, procedure.PhaseScope)
	if _, err := r.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, s := range steps {
		if s.done > s.of || i > 0 && s.done < steps[i-1].done {
			t.Errorf("told %v", steps)
		}
	}
	if last := steps[len(steps)-1]; last != (step{l.stream.Last, l.stream.Last}) {
		t.Errorf("what came meanwhile was told as %v, want %d", last, l.stream.Last)
	}
}

func TestWhatWasChangedBehindTheRecordersBackIsFound(t *testing.T) {
	for name, c := range map[string]struct{ change, want string }{
		"a projection":        {"update releases set outcome = 1, phase = 'closed'", "releases"},
		"a projection's view": {"update releases set view = view || '\\x00'::bytea", "releases"},
		"a row that is gone":  {"delete from release_people where person = 'anna'", "release_people"},
		"a row too many":      {"insert into release_artifacts values ('sha256:00', 'shop-x')", "release_artifacts"},
		"an event, by a superuser": {
			"alter table events disable trigger all; update events set body = '\\x00' where seq = 3", "events",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t)
			l.release(t, procedure.PhaseExecute)
			l.exec(t, c.change)
			report, err := l.rebuild(t).Compare(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range report.Tables {
				if (table.Differing > 0) != (table.Name == c.want) {
					t.Errorf("%d rows of %s differ: %s", table.Differing, table.Name, strings.Join(table.Rows, ", "))
				}
			}
		})
	}
}

func TestARecordThatGoesBeyondARestoredStreamCanBeReplaced(t *testing.T) {
	l := start(t)
	l.release(t, procedure.PhaseClosed)
	before := l.stream.Last
	stream, err := l.n.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if err := l.n.JetStream().DeleteStream(t.Context(), eventstore.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if _, err := l.n.JetStream().CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	l.stream = recordertest.LiveStream()
	h := l.stream.New(proceduretest.Request(proceduretest.Key("k1"), proceduretest.Waves([]string{"eu1", "eu2"}, []string{"us1"})))
	h.To(t, procedure.PhaseScope)
	recordertest.Publish(t, l.n, h.Entries...)

	r := l.rebuild(t)
	report, err := r.Compare(t.Context())
	if err != nil || !report.Differs() || report.Sequence != before || r.Sequence() != l.stream.Last {
		t.Errorf("rebuilt to %d beside %d, differs: %v (%v)", r.Sequence(), report.Sequence, report.Differs(), err)
	}
	if _, err := r.Replace(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	l.release(t, procedure.PhaseRecord)
	status, err := recordertest.Reader(t, l.dsn).Status(t.Context())
	if err != nil || status.GetEvents() != l.stream.Last {
		t.Errorf("the new record has %d events, want %d (%v)", status.GetEvents(), l.stream.Last, err)
	}
}

func TestARebuiltRecordTakesThePlaceOfADamagedOne(t *testing.T) {
	l := start(t)
	l.release(t, procedure.PhaseApprove)
	l.exec(t, "update releases set phase = 'closed', closed = true")
	reader := recordertest.Reader(t, l.dsn)
	if open, err := reader.Phases(t.Context()); err != nil || open["closed"] != 1 {
		t.Fatalf("phases %v (%v)", open, err)
	}
	r := l.rebuild(t)
	l.release(t, procedure.PhaseGates) // The rebuilt record has to catch up.
	kept, err := r.Replace(t.Context(), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	if err != nil || kept != "shipwarden_before_20260304050607" {
		t.Fatalf("kept as %q (%v)", kept, err)
	}
	// Connections that were open all the while read and write the new one.
	phases, err := reader.Phases(t.Context())
	if err != nil || phases["approve"] != 1 || phases["gates"] != 1 {
		t.Errorf("phases %v (%v)", phases, err)
	}
	l.release(t, procedure.PhaseScope)
	status, err := reader.Status(t.Context())
	if err != nil || status.GetAsOfSequence() != l.stream.Last || status.GetReleases() != 3 {
		t.Errorf("status %v (%v)", status, err)
	}
	report, err := l.rebuild(t).Compare(t.Context())
	if err != nil || report.Differs() {
		t.Errorf("report %+v (%v)", report, err)
	}
}

// Which mails people got is not in the stream: a rebuilt record has it from the one before.
// Where the stream was restored and ends earlier, days end with it, so that what comes in
// place of what was lost is told.
func TestARebuiltRecordKeepsWhichMailsPeopleGot(t *testing.T) {
	l := start(t)
	l.release(t, procedure.PhaseClosed)
	digests, err := ledger.OpenDigests(t.Context(), l.dsn, migrations.Schema)
	if err != nil {
		t.Fatal(err)
	}
	defer digests.Close()
	told := ledger.DigestDay{Day: "2026-12-01", After: 3, Through: l.stream.Last + 100, Kind: ledger.DigestTold}
	if err := digests.Note(t.Context(), told, []string{"anna", "ben"}); err != nil {
		t.Fatal(err)
	}
	if err := digests.NoteMail(t.Context(), told.Day, "anna", 1, ledger.DigestSent); err != nil {
		t.Fatal(err)
	}
	r := l.rebuild(t)
	if _, err := r.Replace(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	last, ok, err := digests.Last(t.Context())
	if told.Through = l.stream.Last; err != nil || !ok || last != told {
		t.Errorf("the day is %+v, %v, want %+v", last, err, told)
	}
	open, err := digests.Open(t.Context())
	if err != nil || len(open) != 1 || open[0].Person != "ben" || open[0].Through != told.Through {
		t.Errorf("open mails: %+v, %v", open, err)
	}
}
