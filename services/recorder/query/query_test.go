package query_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/pgtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
	"github.com/blackdice/shipwarden/services/recorder/query"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(pgtest.Run(m))
}

const secret = "a reader's token"

// served is a record, its writer, and a client that reads it.
type served struct {
	recorderv1.RecorderServiceClient

	dsn    string
	ledger *ledger.Ledger
	stream *proceduretest.Stream
	conn   *grpc.ClientConn
	// ahead is how far the server's clock goes ahead, in nanoseconds.
	ahead *atomic.Int64
}

func serve(t *testing.T) *served {
	t.Helper()
	dsn, ahead := recordertest.Database(t), &atomic.Int64{}
	tail := ledger.NewTail(dsn, migrations.Schema)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = tail.Run(ctx) }()
	sum := sha256.Sum256([]byte(secret))
	access, err := query.NewAccess(&configv1.Tokens{Tokens: []*configv1.Token{
		{Sha256: hex.EncodeToString(sum[:]), Person: "audra", Reader: true},
	}}, false, query.Provided{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(access.Unary), grpc.StreamInterceptor(access.Stream))
	recorderv1.RegisterRecorderServiceServer(server, query.New(recordertest.Reader(t, dsn), tail, func() uint64 { return 0 }, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }))
	go func() { _ = server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		cancel()
		<-done
	})
	return &served{
		RecorderServiceClient: recorderv1.NewRecorderServiceClient(conn), conn: conn,
		dsn: dsn, ledger: recordertest.Ledger(t, dsn), stream: proceduretest.NewStream(), ahead: ahead,
	}
}

// asReader is a context that shows the token.
func asReader(t *testing.T) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+secret)
}

// release records a release up to the phase.
func (s *served) release(t *testing.T, to procedure.Phase, changes ...func(*releasev1.Request)) *proceduretest.History {
	t.Helper()
	h := s.stream.New(proceduretest.Request(changes...))
	h.To(t, to)
	s.write(t, h, 0)
	return h
}

// write records the events of a history from one on.
func (s *served) write(t *testing.T, h *proceduretest.History, from int) {
	t.Helper()
	for batch := range slices.Chunk(recordertest.Messages(h)[from:], ledger.MaxBatch) {
		recordertest.Write(t, s.ledger, ledger.MaxBatch, batch)
	}
}

// reason is the reason in an error's details.
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func TestOneRelease(t *testing.T) {
	s := serve(t)
	h := s.release(t, procedure.PhaseApprove)
	got, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release, Events: true})
	if err != nil {
		t.Fatal(err)
	}
	r := got.GetRelease()
	if r.GetPhase() != "approve" || r.GetVersion() != "1.4.2" || r.GetChangeDigest() == "" || len(r.GetMissing()) == 0 || len(r.GetActions()) == 0 {
		t.Errorf("release %v", r)
	}
	if len(got.GetEvents()) != len(h.Entries) || got.GetAsOfSequence() != h.Last {
		t.Errorf("%d events as of %d, want %d as of %d", len(got.GetEvents()), got.GetAsOfSequence(), len(h.Entries), h.Last)
	}
	var steps []string
	for _, step := range r.GetSteps() {
		steps = append(steps, step.GetNumber()+" "+step.GetName()+" "+step.GetStatus().String())
	}
	want := []string{
		"1 gates STATUS_DONE", "2 scope STATUS_DONE", "3 risk STATUS_DONE", "A authorize STATUS_WAITING", "4 notify STATUS_PENDING",
		"5 execute STATUS_PENDING", "6 verify STATUS_PENDING", "7 remediate STATUS_PENDING", "8 record STATUS_PENDING",
	}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %q, want %q", steps, want)
	}
}

func TestWhatIsNotThereOrNotYet(t *testing.T) {
	s := serve(t)
	if _, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: "none"}); status.Code(err) != codes.NotFound || reason(err) != "RELEASE_NOT_ON_RECORD" {
		t.Errorf("GetRelease: %v", err)
	}
	if _, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: "none"}); status.Code(err) != codes.NotFound {
		t.Errorf("GetRecord: %v", err)
	}
	ctx, cancel := context.WithTimeout(asReader(t), time.Second)
	defer cancel()
	_, err := s.ListReleases(ctx, &recorderv1.ListReleasesRequest{MinSequence: 1})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("min_sequence in the future: %v", err)
	}
	watch, err := s.WatchRelease(asReader(t), &recorderv1.WatchReleaseRequest{Release: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.NotFound {
		t.Errorf("WatchRelease: %v", err)
	}
}

func TestWaitingForASequence(t *testing.T) {
	s := serve(t)
	answered := make(chan error)
	ctx := asReader(t)
	if got, err := s.GetStatus(ctx, &recorderv1.GetStatusRequest{}); err != nil || got.GetAsOfSequence() != 0 {
		t.Fatalf("there is something on record: %v, %v", got, err)
	}
	go func() {
		_, err := s.ListReleases(ctx, &recorderv1.ListReleasesRequest{MinSequence: 3})
		answered <- err
	}()
	s.release(t, procedure.PhasePreview)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestReadersAreKnown(t *testing.T) {
	s := serve(t)
	for name, header := range map[string][]string{
		"nobody": nil, "another token": {"authorization", "Bearer x"}, "no bearer": {"authorization", secret},
		"two tokens": {"authorization", "Bearer " + secret, "authorization", "Bearer " + secret}, "empty": {"authorization", "Bearer "},
	} {
		ctx := metadata.AppendToOutgoingContext(t.Context(), header...)
		if _, err := s.GetStatus(ctx, &recorderv1.GetStatusRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
		watch, err := s.WatchRelease(ctx, &recorderv1.WatchReleaseRequest{Release: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: watch: %v", name, err)
		}
	}
}

func TestFilters(t *testing.T) {
	s := serve(t)
	planned := s.release(t, procedure.PhaseApprove, proceduretest.Key("a"))
	closed := s.release(t, procedure.PhaseClosed, proceduretest.Key("b"), proceduretest.Waves([]string{"us1"}))
	emergency := s.release(t, procedure.PhaseFollowUp, proceduretest.Key("c"), proceduretest.Emergency)
	digest := closed.Asked.GetArtifacts()[0].GetDigest()
	all := []string{emergency.Release, closed.Release, planned.Release}
	for name, c := range map[string]struct {
		filter *recorderv1.Filter
		want   []string
	}{
		"nothing":           {nil, all},
		"service":           {&recorderv1.Filter{Service: "shop"}, all},
		"another service":   {&recorderv1.Filter{Service: "shops"}, nil},
		"environment":       {&recorderv1.Filter{Environment: "production"}, all},
		"target":            {&recorderv1.Filter{Target: "us1"}, all[1:2]},
		"person":            {&recorderv1.Filter{Person: "rita"}, all},
		"approver":          {&recorderv1.Filter{Person: "anna"}, all[1:2]},
		"digest":            {&recorderv1.Filter{ArtifactDigest: digest}, all},
		"another digest":    {&recorderv1.Filter{ArtifactDigest: proceduretest.Digest('0')}, nil},
		"open":              {&recorderv1.Filter{Open: true}, []string{emergency.Release, planned.Release}},
		"phase":             {&recorderv1.Filter{Phase: "approve"}, all[2:]},
		"outcome":           {&recorderv1.Filter{Outcomes: []releasev1.Outcome{releasev1.Outcome_OUTCOME_SUCCEEDED}}, all[:2]},
		"no outcome":        {&recorderv1.Filter{Outcomes: []releasev1.Outcome{releasev1.Outcome_OUTCOME_UNSPECIFIED}}, all[2:]},
		"since":             {&recorderv1.Filter{RequestedAfter: timestamppb.New(closed.State().RequestedAt)}, all[:2]},
		"before":            {&recorderv1.Filter{RequestedBefore: timestamppb.New(closed.State().RequestedAt)}, all[2:]},
		"all of them":       {&recorderv1.Filter{Service: "shop", Target: "eu1", Open: true, Person: "otto", Phase: "approve"}, all[2:]},
		"injection":         {&recorderv1.Filter{Service: "' or 1=1--"}, nil},
		"injected person":   {&recorderv1.Filter{Person: "x') or true --"}, nil},
		"injected table":    {&recorderv1.Filter{Target: "x'; drop table events; --"}, nil},
		"injected wildcard": {&recorderv1.Filter{Phase: "%"}, nil},
		"NUL":               {&recorderv1.Filter{Service: "shop\x00"}, nil},
	} {
		got, err := s.ListReleases(asReader(t), &recorderv1.ListReleasesRequest{Filter: c.filter})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var releases []string
		for _, r := range got.GetReleases() {
			releases = append(releases, r.GetRelease())
		}
		if !slices.Equal(releases, c.want) {
			t.Errorf("%s: %q, want %q", name, releases, c.want)
		}
	}
	open, err := recordertest.Reader(t, s.dsn).Open(t.Context())
	byPhase := map[string]int64{}
	for _, o := range open {
		byPhase[o.Service+" "+o.Environment+" "+o.Version+" "+o.Phase] = o.Releases
	}
	if want := map[string]int64{"shop production 1.4.2 approve": 1, "shop production 1.4.2 follow_up": 1}; err != nil || !maps.Equal(byPhase, want) {
		t.Errorf("open are %v (%v), want %v", byPhase, err, want)
	}
	staging := s.release(t, procedure.PhaseApprove, proceduretest.Key("d"), func(r *releasev1.Request) { r.Environment = "staging" })
	for environment, want := range map[string][]string{"staging": {staging.Release}, "production": all, "stag": nil, "": append([]string{staging.Release}, all...)} {
		got, err := s.ListReleases(asReader(t), &recorderv1.ListReleasesRequest{Filter: &recorderv1.Filter{Environment: environment}})
		if err != nil {
			t.Fatal(err)
		}
		var releases []string
		for _, r := range got.GetReleases() {
			releases = append(releases, r.GetRelease())
		}
		if !slices.Equal(releases, want) {
			t.Errorf("environment %q: %q, want %q", environment, releases, want)
		}
	}
	_, err = s.ListReleases(asReader(t), &recorderv1.ListReleasesRequest{Filter: &recorderv1.Filter{RequestedAfter: &timestamppb.Timestamp{Seconds: 1 << 60}}})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a time that is none: %v", err)
	}
}

func TestWatchingToTheEnd(t *testing.T) {
	s := serve(t)
	h := s.release(t, procedure.PhaseScope)
	watch, err := s.WatchRelease(asReader(t), &recorderv1.WatchReleaseRequest{Release: h.Release})
	if err != nil {
		t.Fatal(err)
	}
	first, err := watch.Recv()
	if err != nil || first.GetEvent() != nil || first.GetRelease().GetPhase() != "scope" {
		t.Fatalf("first answer %v (%v)", first, err)
	}
	have := len(h.Entries)
	h.To(t, procedure.PhaseExecute)
	s.write(t, h, have)
	have = len(h.Entries)
	h.To(t, procedure.PhaseClosed)
	var written sync.WaitGroup
	written.Go(func() { s.write(t, h, have) })
	defer written.Wait()
	var sequences []uint64
	for {
		got, err := watch.Recv()
		if err != nil {
			break
		}
		sequences = append(sequences, got.GetEvent().GetSequence())
		if got.GetRelease().GetLastSequence() != got.GetEvent().GetSequence() {
			t.Errorf("release as of %d with event %d", got.GetRelease().GetLastSequence(), got.GetEvent().GetSequence())
		}
	}
	var want []uint64
	for _, e := range h.Entries[2:] {
		want = append(want, e.Sequence)
	}
	if !slices.Equal(sequences, want) {
		t.Errorf("saw events %v, want %v", sequences, want)
	}
}

func TestWatchingOverALostDatabaseConnection(t *testing.T) {
	s := serve(t)
	h := s.release(t, procedure.PhaseScope)
	watch, err := s.WatchRelease(asReader(t), &recorderv1.WatchReleaseRequest{Release: h.Release})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	conn := recordertest.Connect(t, s.dsn, "none")
	natstest.Eventually(t, "the end of the listening connection", func() bool {
		var cut int
		err := conn.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
			where datname = current_database() and pid <> pg_backend_pid() and query = 'select last_seq from checkpoint' and state = 'idle'`).Scan(&cut)
		return err == nil && cut > 0
	})
	have := len(h.Entries)
	h.To(t, procedure.PhasePreview)
	s.write(t, h, have)
	got, err := watch.Recv()
	if err != nil || got.GetRelease().GetPhase() != "preview" {
		t.Errorf("answer %v (%v)", got, err)
	}
}

func TestTheRecordInBothForms(t *testing.T) {
	s := serve(t)
	h := s.release(t, procedure.PhaseClosed)
	at := h.Last + 1
	recordertest.Write(t, s.ledger, 1, []ledger.Message{recordertest.Message(proceduretest.Entry(procedure.State{}, at, h.Now, nil, &releasev1.Event{
		Aggregate: "pol.proc-deploy-001", Data: &releasev1.Event_ProcedureActivated{
			ProcedureActivated: &releasev1.ProcedureActivated{Version: "7", Digest: proceduretest.ProcedureDigest},
		},
	}))})
	for format, media := range map[recorderv1.GetRecordRequest_Format]string{
		recorderv1.GetRecordRequest_FORMAT_UNSPECIFIED: "application/json",
		recorderv1.GetRecordRequest_FORMAT_JSON:        "application/json",
		recorderv1.GetRecordRequest_FORMAT_MARKDOWN:    "text/markdown; charset=utf-8",
	} {
		got, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: h.Release, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(got.GetDocument())
		if got.GetMediaType() != media || got.GetDigest() != "sha256:"+hex.EncodeToString(sum[:]) || got.GetAsOfSequence() != at {
			t.Errorf("%s: %s, %s as of %d", format, got.GetMediaType(), got.GetDigest(), got.GetAsOfSequence())
		}
		version := `"procedure_version": "7"`
		if format == recorderv1.GetRecordRequest_FORMAT_MARKDOWN {
			version = "PROC-DEPLOY-001 version 7, document"
		}
		if !strings.Contains(string(got.GetDocument()), version) {
			t.Errorf("%s: the document does not say %s", format, version)
		}
	}
}
