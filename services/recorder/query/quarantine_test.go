package query_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// shelf is the histories of artifacts, beside those of releases in one stream.
type shelf struct {
	*served

	stands map[string]procedure.Entry
}

// put records an event of an artifact's history, and returns what that then stands at.
func (s *shelf) put(t *testing.T, digest string, by *releasev1.Actor, event *releasev1.Event) procedure.Quarantined {
	t.Helper()
	event.Aggregate, event.Previous = procedure.ArtifactAggregate(digest), nil
	if before, ok := s.stands[digest]; ok {
		event.Previous = procedure.Head{Sequence: before.Sequence, Digest: before.Digest}.Previous()
	}
	s.stream.Last++
	e := proceduretest.Entry(procedure.State{}, s.stream.Last, s.stream.Now, by, event)
	s.stands[digest] = e
	recordertest.Write(t, s.ledger, 1, []ledger.Message{recordertest.Message(e)})
	return procedure.QuarantineOf(e.Event)
}

// TestArtifactsInQuarantineAreListed: who, when and why, page by page, and in the record
// of the release that put one there.
func TestArtifactsInQuarantineAreListed(t *testing.T) {
	s := &shelf{serve(t), map[string]procedure.Entry{}}
	h := s.stream.New(proceduretest.Request())
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	claim := proceduretest.Remedy(h.State(), "executor-1", h.Now)
	claim.GetRollbackClaimed().Quarantined = proceduretest.Digest('a')
	h.Do(t, "", claim)
	s.write(t, h, 0)
	why := procedure.WhyQuarantined(h.State(), h.Entries, h.Now)
	a, b := proceduretest.Digest('a'), proceduretest.Digest('b')
	q := s.put(t, a, nil, procedure.DecideQuarantine(procedure.Quarantined{}, a, why))
	s.put(t, b, nil, procedure.DecideQuarantine(procedure.Quarantined{}, b, why))
	// An image of an index that is there is not there by itself, and in no list.
	s.put(t, proceduretest.Digest('c'), nil, procedure.DecideImage(procedure.Quarantined{}, nil, proceduretest.Digest('c'), b, h.Release))
	ask := func(q *recorderv1.ListQuarantinesRequest) *recorderv1.ListQuarantinesResponse {
		t.Helper()
		got, err := s.ListQuarantines(asReader(t), q)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if all := ask(&recorderv1.ListQuarantinesRequest{All: true}); len(all.GetArtifacts()) != 2 {
		t.Errorf("all there are or were: %v", all)
	}
	first := ask(&recorderv1.ListQuarantinesRequest{PageSize: 1})
	if len(first.GetArtifacts()) != 1 || first.GetArtifacts()[0].GetState().GetDigest() != b || first.GetNextPageToken() == "" {
		t.Fatalf("first page %v", first)
	}
	second := ask(&recorderv1.ListQuarantinesRequest{PageSize: 1, PageToken: first.GetNextPageToken()})
	if len(second.GetArtifacts()) != 1 || second.GetArtifacts()[0].GetState().GetReasons()[0].GetRelease() != h.Release || second.GetNextPageToken() != "" {
		t.Fatalf("second page %v", second)
	}
	_, err := s.ListQuarantines(asReader(t), &recorderv1.ListQuarantinesRequest{All: true, PageToken: first.GetNextPageToken()})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a page of another question: %v", err)
	}
	document := func() string {
		t.Helper()
		got, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: h.Release, Format: recorderv1.GetRecordRequest_FORMAT_MARKDOWN})
		if err != nil {
			t.Fatal(err)
		}
		return string(got.GetDocument())
	}
	if got := document(); !strings.Contains(got, "Quarantine") || !strings.Contains(got, "It stands there: in quarantine because of release") {
		t.Errorf("the record does not say that it is in quarantine:\n%s", got)
	}
	proposal, err := procedure.DecideProposal(q, proceduretest.Person("otto"), "the probe was wrong", s.stream.Now)
	if err != nil {
		t.Fatal(err)
	}
	q = s.put(t, a, proceduretest.Person("otto"), proposal)
	if got := document(); !strings.Contains(got, "otto asked at") || !strings.Contains(got, "the probe was wrong") {
		t.Errorf("the record does not say who asked:\n%s", got)
	}
	clearance, err := procedure.DecideClearance(q, map[string]procedure.State{h.Release: h.State()}, proceduretest.Person("cleo"), nil, "seen it", s.stream.Now)
	if err != nil {
		t.Fatal(err)
	}
	s.put(t, a, proceduretest.Person("cleo"), clearance)
	if got := ask(&recorderv1.ListQuarantinesRequest{}); len(got.GetArtifacts()) != 1 || got.GetArtifacts()[0].GetState().GetDigest() != b {
		t.Errorf("in quarantine are %v", got)
	}
	if got := ask(&recorderv1.ListQuarantinesRequest{All: true, Digest: a}); len(got.GetArtifacts()) != 1 || got.GetArtifacts()[0].GetHeld() {
		t.Errorf("it stands at %v", got)
	}
	if got := document(); !strings.Contains(got, "It was let out of quarantine") || !strings.Contains(got, "cleo says: seen it") {
		t.Errorf("the record does not say who let it out:\n%s", got)
	}
	if got, err := s.GetRecord(asReader(t), &recorderv1.GetRecordRequest{Release: h.Release}); err != nil || !strings.Contains(string(got.GetDocument()), `"confirmed_by": "cleo"`) {
		t.Errorf("the record in JSON: %v", err)
	}
}
