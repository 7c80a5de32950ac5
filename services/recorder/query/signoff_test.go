package query_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestItIsToldThatItIsTooLateToSignOff: to whoever asks, in a list or of one release, and to whoever
// watches, though no event says so.
func TestItIsToldThatItIsTooLateToSignOff(t *testing.T) {
	s := serve(t)
	ledger := &releasev1.Check{Name: "ledger", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Do the sums agree?", Groups: []string{"finance"},
	}}}
	h := s.stream.New(proceduretest.Request(func(r *releasev1.Request) { r.Validation.Checks = append(r.Validation.Checks, ledger) }))
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", procedure.DecideSignOffWanted(h.State(), []*releasev1.Check{ledger}, time.Hour, h.Now))
	s.write(t, h, 0)
	until := h.State().SignOffs[0].Until
	if _, err := s.GetStatus(asReader(t), &recorderv1.GetStatusRequest{}); err != nil { // It is connected from now on.
		t.Fatal(err)
	}
	// The server's clock goes so that there are ten seconds left.
	s.ahead.Store(int64(time.Until(until.Add(-10 * time.Second))))
	watch, err := s.WatchRelease(asReader(t), &recorderv1.WatchReleaseRequest{Release: h.Release})
	if err != nil {
		t.Fatal(err)
	}
	first, err := watch.Recv()
	if err != nil {
		t.Fatal(err)
	}
	stamp := until.UTC().Format(time.RFC3339)
	if r := first.GetRelease(); !strings.Contains(r.GetSummary(), ", and waits to be signed off: ledger by finance until "+stamp+".") ||
		!slices.Contains(r.GetActions(), "sign-off") || r.GetSignOffs()[0].GetQuestion() != "Do the sums agree?" {
		t.Errorf("in time: %q, possible %v, %v", r.GetSummary(), r.GetActions(), r.GetSignOffs())
	}
	told := func(what string, r *recorderv1.Release) {
		t.Helper()
		if !strings.Contains(r.GetSummary(), ", and was not signed off in time: ledger by finance until "+stamp+".") ||
			strings.Contains(r.GetSummary(), "waits to be") || slices.Contains(r.GetActions(), "sign-off") {
			t.Errorf("%s: %q, possible %v", what, r.GetSummary(), r.GetActions())
		}
	}
	later, err := watch.Recv()
	if err != nil {
		t.Fatal(err)
	}
	told("watched", later.GetRelease())
	s.ahead.Add(int64(10 * time.Second))
	one, err := s.GetRelease(asReader(t), &recorderv1.GetReleaseRequest{Release: h.Release})
	if err != nil {
		t.Fatal(err)
	}
	told("asked for", one.GetRelease())
	all, err := s.ListReleases(asReader(t), &recorderv1.ListReleasesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	told("listed", all.GetReleases()[0])
}
