package query_test

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAWayBackIsAskedForByItsId: it is a change of its own, with its own events and record, and
// links to its release, as that one does to it. Nobody meets it who asks for releases alone.
func TestAWayBackIsAskedForByItsId(t *testing.T) {
	s := serve(t)
	well := s.release(t, procedure.PhaseClosed, proceduretest.Key("well"))
	h := s.stream.New(proceduretest.Request(proceduretest.Key("goes back")))
	h.To(t, procedure.PhaseVerifyRollback)
	ordered := h.State().Rollbacks[0].Ordered
	h.To(t, procedure.PhaseClosed)
	s.write(t, h, 0)
	id := procedure.RollbackID(h.Release, 1)

	got, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: id, Events: true, Sealed: true})
	if err != nil {
		t.Fatal(err)
	}
	r := got.GetRelease()
	if r.GetRelease() != id || r.GetWayBackOf() != h.Release || r.GetOutcome() != releasev1.Outcome_OUTCOME_ROLLED_BACK || !r.GetClosed() || got.GetIncident() != nil {
		t.Errorf("%v", r)
	}
	var types []string
	for _, e := range got.GetEvents() {
		types = append(types, procedure.TypeOf(e.GetEvent()))
		if e.GetSequence() < ordered || e.GetEvent().GetAggregate() != procedure.Aggregate(h.Release) {
			t.Errorf("event %d of %s, ordered was %d", e.GetSequence(), e.GetEvent().GetAggregate(), ordered)
		}
	}
	if want := []string{"verification_failed", "rollback_claimed", "rolled_back", "verification_passed", "recorded"}; !slices.Equal(types, want) {
		t.Errorf("%v, want %v", types, want)
	}
	of, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release})
	if err != nil || len(of.GetRelease().GetRollbacks()) != 1 || of.GetRelease().GetRollbacks()[0].GetRollback() != id {
		t.Errorf("%v, %v", of.GetRelease().GetRollbacks(), err)
	}

	for what, test := range map[string]struct {
		filter *recorderv1.Filter
		want   []string
	}{
		"nothing":               {nil, []string{h.Release, well.Release}},
		"rollbacks, too":        {&recorderv1.Filter{Rollbacks: true}, []string{id, h.Release, well.Release}},
		"of that release":       {&recorderv1.Filter{WayBackOf: h.Release}, []string{id}},
		"of the other one":      {&recorderv1.Filter{WayBackOf: well.Release}, nil},
		"rolled back":           {&recorderv1.Filter{Outcomes: []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLED_BACK}}, []string{h.Release}},
		"rolled back, too":      {&recorderv1.Filter{Rollbacks: true, Outcomes: []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLED_BACK}}, []string{id, h.Release}},
		"on one of its targets": {&recorderv1.Filter{WayBackOf: h.Release, Target: "eu1"}, []string{id}},
	} {
		if got := s.found(t, test.filter); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", what, got, test.want)
		}
	}

	var record struct {
		Schema, Rollback string
		Of               string `json:"way_back_of"`
	}
	s.record(t, id, &record)
	if record.Schema != "shipwarden.rollback-record.v1" || record.Rollback != id || record.Of != h.Release {
		t.Errorf("%+v", record)
	}
	text, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: id, Format: recorderv1.GetRecordRequest_FORMAT_MARKDOWN})
	if err != nil || !strings.HasPrefix(string(text.GetDocument()), "# Record of a way back") {
		t.Errorf("%s, %v", text.GetDocument(), err)
	}
	var whole struct {
		Rollbacks []json.RawMessage
	}
	s.record(t, h.Release, &whole)
	if len(whole.Rollbacks) != 1 || !strings.Contains(string(whole.Rollbacks[0]), id) {
		t.Errorf("the record of the release has %s", whole.Rollbacks)
	}
	for _, none := range []string{procedure.RollbackID(h.Release, 2), procedure.RollbackID(well.Release, 1), "nothing-rb1"} {
		if _, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: none, Events: true}); status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", none, err)
		}
		if _, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: none}); status.Code(err) != codes.NotFound {
			t.Errorf("record of %s: %v", none, err)
		}
	}
	now, err := s.GetStatus(asReader(t), &recorderv1.GetStatusRequest{})
	if err != nil || now.GetReleases() != 2 {
		t.Errorf("%d releases, %v", now.GetReleases(), err)
	}
}

// TestAWayBackIsWatchedByItsId: what is its own of the events of its release, until its record is
// closed; one that there is not is not found.
func TestAWayBackIsWatchedByItsId(t *testing.T) {
	s := serve(t)
	h := s.stream.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	s.write(t, h, 0)
	id := procedure.RollbackID(h.Release, 1)
	follow := func(release string) func() (*recorderv1.WatchReleaseResponse, error) {
		t.Helper()
		stream, err := s.WatchRelease(asReader(t), &recorderv1.WatchReleaseRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		return stream.Recv
	}
	for _, none := range []string{id, "nothing-rb1"} {
		if _, err := follow(none)(); status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", none, err)
		}
	}
	have := len(h.Entries)
	h.To(t, procedure.PhaseRollingBack)
	s.write(t, h, have)
	next := follow(id)
	first, err := next()
	if r := first.GetRelease(); err != nil || first.GetEvent() != nil || r.GetRelease() != id || r.GetWayBackOf() != h.Release || r.GetPhase() != "rolling_back" {
		t.Fatalf("first answer %v (%v)", first, err)
	}
	have = len(h.Entries)
	h.To(t, procedure.PhaseRelease)
	h.Do(t, "eve", proceduretest.Acknowledge(releasev1.Cause_CAUSE_VALIDATION_FAILED)) // of the release alone
	h.To(t, procedure.PhaseClosed)
	var written sync.WaitGroup
	written.Go(func() { s.write(t, h, have) })
	defer written.Wait()
	var types []string
	var last *recorderv1.Release
	for {
		answer, err := next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		types, last = append(types, procedure.TypeOf(answer.GetEvent().GetEvent())), answer.GetRelease()
	}
	if want := []string{"rolled_back", "verification_passed", "recorded"}; !slices.Equal(types, want) {
		t.Errorf("%v, want %v", types, want)
	}
	if last.GetRelease() != id || last.GetOutcome() != releasev1.Outcome_OUTCOME_ROLLED_BACK || !last.GetClosed() {
		t.Errorf("at the end %v", last)
	}
}
