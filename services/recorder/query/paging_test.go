package query_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

func TestPagesNeitherRepeatNorSkipWhileReleasesAreRecorded(t *testing.T) {
	s := serve(t)
	s.stream.Pace = 0 // All at one moment: the release breaks the tie.
	var want []string
	for i := range 23 {
		want = append(want, s.release(t, procedure.PhaseGates, proceduretest.Key(fmt.Sprint("k", i))).Release)
	}
	slices.Sort(want)
	var got []string
	q := &recorderv1.ListReleasesRequest{PageSize: 5, Filter: &recorderv1.Filter{Service: "shop"}}
	for page := 0; ; page++ {
		answer, err := s.ListReleases(asReader(t), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range answer.GetReleases() {
			got = append(got, r.GetRelease())
		}
		if answer.GetNextPageToken() == "" {
			break
		}
		q.PageToken = answer.GetNextPageToken()
		s.stream.Now = s.stream.Now.Add(time.Millisecond)
		s.release(t, procedure.PhaseGates, proceduretest.Key(fmt.Sprint("new", page)))
	}
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Errorf("pages gave %d releases, want %d: %q", len(got), len(want), got)
	}
}

func TestAPageTokenOfAnythingElseIsRefused(t *testing.T) {
	s := serve(t)
	for i := range 3 {
		s.release(t, procedure.PhaseGates, proceduretest.Key(fmt.Sprint("k", i)))
	}
	first, err := s.ListReleases(asReader(t), &recorderv1.ListReleasesRequest{PageSize: 1})
	if err != nil || first.GetNextPageToken() == "" {
		t.Fatalf("first page %v (%v)", first, err)
	}
	good := first.GetNextPageToken()
	plain, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(old, replacement string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(plain), old, replacement, 1)))
	}
	for name, q := range map[string]*recorderv1.ListReleasesRequest{
		"garbage":           {PageToken: "garbage"},
		"not base64":        {PageToken: "\x00' or 1=1"},
		"another question":  {PageToken: good, Filter: &recorderv1.Filter{Service: "shop"}},
		"cut off":           {PageToken: good[:len(good)-3]},
		"padded":            {PageToken: good + "=="},
		"something behind":  {PageToken: forged("}", "}{}")},
		"another field":     {PageToken: forged("{", `{"x":1,`)},
		"injected release":  {PageToken: forged(`"r":"shop`, `"r":"' or 1=1--`)},
		"the end of time":   {PageToken: forged(`"t":`, `"t":9999`)},
		"a number in words": {PageToken: forged(`"t":`, `"t":"x","y":`)},
	} {
		_, err := s.ListReleases(asReader(t), q)
		if status.Code(err) != codes.InvalidArgument || reason(err) != "PAGE_TOKEN_INVALID" || field(err) != "page_token" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.ListRefusals(asReader(t), &recorderv1.ListRefusalsRequest{PageToken: good}); field(err) != "page_token" {
		t.Errorf("a token of releases for refusals: %v", err)
	}
}

// field is the field that an error blames.
func field(err error) string {
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			return bad.GetFieldViolations()[0].GetField()
		}
	}
	return ""
}

// A history can be larger than an answer may be: the client asks for the rest.
func TestEventsOfALargeHistoryComeAnswerByAnswer(t *testing.T) {
	s := serve(t)
	h := s.release(t, procedure.PhaseApprove)
	var want []uint64
	for _, e := range h.Entries {
		want = append(want, e.Sequence)
	}
	var messages []ledger.Message
	for i := range uint64(16) {
		e := proceduretest.Entry(h.State(), h.Last+1+i, h.Now, proceduretest.Person("anna"), &releasev1.Event{
			Data: &releasev1.Event_ApprovalWithdrawn{ApprovalWithdrawn: &releasev1.ApprovalWithdrawn{Reason: strings.Repeat("x", 100_000)}},
		})
		want = append(want, e.Sequence)
		messages = append(messages, recordertest.Message(e))
	}
	recordertest.Write(t, s.ledger, 4, messages)
	var got []uint64
	answers := 0
	for q := (&recorderv1.GetReleaseRequest{Release: h.Release, Events: true}); ; answers++ {
		answer, err := s.GetRelease(asReader(t), q)
		if err != nil {
			t.Fatal(err)
		}
		if size := proto.Size(answer); size > service.MaxMessageBytes {
			t.Errorf("an answer of %d bytes, which the server does not send", size)
		}
		for _, e := range answer.GetEvents() {
			got = append(got, e.GetSequence())
			q.EventsAfter = e.GetSequence()
		}
		if !answer.GetMoreEvents() {
			break
		}
	}
	if !slices.Equal(got, want) || answers < 2 {
		t.Errorf("after %d answers: events %v, want %v", answers, got, want)
	}
}

func TestRefusalsPageByPage(t *testing.T) {
	s := serve(t)
	var messages []ledger.Message
	for i := range uint64(7) {
		e := proceduretest.Entry(procedure.State{}, i+1, proceduretest.Start, nil, &releasev1.Event{
			Aggregate: fmt.Sprint("req.r", i), Data: &releasev1.Event_RequestRefused{
				RequestRefused: &releasev1.RequestRefused{Subject: "request.production.shop", RequestSequence: i},
			},
		})
		messages = append(messages, recordertest.Message(e))
	}
	recordertest.Write(t, s.ledger, 3, messages)
	var got []uint64
	q := &recorderv1.ListRefusalsRequest{PageSize: 3}
	for {
		answer, err := s.ListRefusals(asReader(t), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range answer.GetRefusals() {
			got = append(got, r.GetSequence())
		}
		if q.PageToken = answer.GetNextPageToken(); q.GetPageToken() == "" {
			break
		}
	}
	if !slices.Equal(got, []uint64{7, 6, 5, 4, 3, 2, 1}) {
		t.Errorf("refusals %v", got)
	}
}
