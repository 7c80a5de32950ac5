package intake_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

func withSubjects(filter string) jetstream.StreamInfoOpt { return jetstream.WithSubjectFilter(filter) }

func TestARequestBecomesARelease(t *testing.T) {
	r := newRig(t)
	request := proceduretest.Request(func(q *releasev1.Request) { q.Evidence = [][]byte{[]byte(`{"payload":""}`)} })
	got := r.take(t, r.message(asJSON(t, request)))
	if got.subject != answerTo+"ci-4711" || got.answer.GetOutcome() != accepted || got.answer.GetProcedureDigest() != r.Digest {
		t.Fatalf("answer on %s: %v", got.subject, got.answer)
	}
	s := r.State(t, got.answer.GetRelease())
	if s.Phase != procedure.PhaseGates || s.Requested.GetRequestDigest() != got.answer.GetRequestDigest() {
		t.Errorf("phase %s, request %v", s.Phase, s.Requested)
	}
	if len(s.Request.GetEvidence()) > 0 || len(s.Requested.GetEvidence()) != 1 {
		t.Errorf("the event holds the evidence itself, or does not name it: %v", s.Requested)
	}
	if b, err := r.Evidence.Get(t.Context(), s.Requested.GetEvidence()[0].GetDigest()); err != nil || string(b) != `{"payload":""}` {
		t.Errorf("evidence %q, %v", b, err)
	}
	service, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
	if err != nil || !cmp.Equal(service.Open, []string{s.Release}) {
		t.Errorf("open releases %v, %v", service.Open, err)
	}
}

func TestTheSameRequestIsTheSameReleaseInAnyEncoding(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		request := proceduretest.Request()
		first := r.take(t, r.message(asJSON(t, request))).answer
		for name, m := range map[string]struct {
			body    []byte
			content string
		}{
			"again":               {asJSON(t, request), ""},
			"JSON by name":        {asJSON(t, request), "application/json; charset=utf-8"},
			"protobuf":            {asProtobuf(t, request), ""},
			"protobuf by name":    {asProtobuf(t, request), "application/protobuf"},
			"protobuf by x- name": {asProtobuf(t, request), "application/x-protobuf"},
		} {
			msg := r.message(m.body)
			msg.ContentType = m.content
			got := r.take(t, msg).answer
			if got.GetOutcome() != repeated || got.GetRelease() != first.GetRelease() || got.GetRequestDigest() != first.GetRequestDigest() {
				t.Errorf("%s: %v", name, got)
			}
		}
		if n := r.count(t, "rel.>"); n != 1 {
			t.Errorf("%d kinds of events of releases, want 1", n)
		}
	})
}

func TestAKeyIsNotUsedForTwoRequests(t *testing.T) {
	r := newRig(t)
	r.ask(t)
	got := r.ask(t, func(q *releasev1.Request) { q.Version = "1.4.3" })
	want := map[string]string{"idempotency_key": "idempotency_key.reused"}
	if diff := cmp.Diff(want, rules(got)); got.GetOutcome() != refused || got.GetRelease() != "" || got.GetRequestDigest() != "" || diff != "" {
		t.Errorf("answer %v: %s", got, diff)
	}
}

func TestWhatWasAcceptedStaysAccepted(t *testing.T) {
	for name, later := range map[string]func(t *testing.T, r *rig){
		"after its start time": func(_ *testing.T, r *rig) { r.now = r.now.Add(2 * time.Hour) },
		"under a newer document": func(t *testing.T, r *rig) {
			r.Activate(t, approvaltest.Document(func(d *policyv1.Procedure) {
				d.Version = "2.0"
				d.Targets[0].Retired = true
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			start := timestamppb.New(r.now.Add(time.Hour))
			soon := func(q *releasev1.Request) { q.NotBefore = start }
			first := r.ask(t, soon)
			later(t, r)
			if got := r.ask(t, soon); got.GetOutcome() != repeated || got.GetRelease() != first.GetRelease() {
				t.Errorf("first %v, then %v", first, got)
			}
		})
	}
}

func TestARefusalIsKeptOnceAndMayBeCorrected(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		wrong := r.message(asJSON(t, proceduretest.Request(func(q *releasev1.Request) { q.Owner = "nobody" })))
		for range 2 { // delivered twice
			if got := r.take(t, wrong); got.answer.GetOutcome() != refused || got.subject != answerTo+"ci-4711" {
				t.Fatalf("answer on %s: %v", got.subject, got.answer)
			}
		}
		if n := r.count(t, "req.>"); n != 1 {
			t.Errorf("kept %d times, want 1", n)
		}
		if n := r.count(t, "rel.>"); n != 0 {
			t.Errorf("a refused request made %d events of a release", n)
		}
		if got := r.ask(t); got.GetOutcome() != accepted {
			t.Errorf("corrected: %v", got)
		}
	})
}

func TestARefusalSaysWhatWasRefused(t *testing.T) {
	r := newRig(t)
	m := r.message([]byte("{"))
	r.take(t, m)
	subjects := r.subjects(t, "req.>")
	if len(subjects) != 1 {
		t.Fatalf("kept under %v", subjects)
	}
	e, found, err := r.Store.Last(t.Context(), strings.TrimSuffix(subjects[0], ".approval.request_refused"))
	if err != nil || !found {
		t.Fatal(found, err)
	}
	kept := e.Event.GetRequestRefused()
	if kept.GetSubject() != subject || kept.GetRequestSequence() != m.Sequence || !strings.HasPrefix(kept.GetBodyDigest(), "sha256:") ||
		len(kept.GetAnswer().GetViolations()) != 1 {
		t.Errorf("kept %v", kept)
	}
}

func TestEveryViolationIsNamedAtOnce(t *testing.T) {
	r := newRig(t)
	got := r.ask(t, func(q *releasev1.Request) {
		q.Version, q.Owner, q.Requester, q.Authors = "latest", "eve", "hugo", []string{"nobody"}
		q.Artifacts[0].Digest = "sha256:short"
		q.Artifacts[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE
		q.Plan.Waves = []*releasev1.Wave{{Targets: []string{"eu1", "old1"}}, {Targets: []string{"stage1", "bill1", "mars1", "eu1"}}}
		q.Validation.Checks = append(q.GetValidation().GetChecks(), q.GetValidation().GetChecks()[0])
		q.RollbackPlan = nil
		q.NotBefore = timestamppb.New(r.now.Add(-time.Hour))
	})
	want := map[string]string{
		"version": "version.immutable", "owner": "owner.foreign", "requester": "person.inactive", "authors[0]": "person.unknown",
		"artifacts[0].digest": "digest.sha256", "artifacts[0].kind": "target.kind", "plan.waves[0].targets[1]": "target.retired",
		"plan.waves[1].targets[0]": "target.environment", "plan.waves[1].targets[1]": "target.service",
		"plan.waves[1].targets[2]": "target.unknown", "plan.waves[1].targets[3]": "target.twice",
		"validation.checks[1].name": "name.twice", "rollback_plan": "required", "not_before": "time.past",
	}
	if diff := cmp.Diff(want, rules(got)); diff != "" {
		t.Error(diff)
	}
}

func TestARequestSpeaksOfItsOwnSubject(t *testing.T) {
	r := newRig(t)
	m := r.message(asJSON(t, proceduretest.Request()))
	m.Subject = "request.staging.billing"
	got := r.take(t, m)
	want := map[string]string{"environment": "subject.mismatch", "service": "subject.mismatch"}
	if diff := cmp.Diff(want, rules(got.answer)); got.subject != "answer.staging.billing.ci-4711" || diff != "" {
		t.Errorf("answer on %s: %s", got.subject, diff)
	}
}

func TestAnAnswerStaysBelowItsOwnSubject(t *testing.T) {
	r := newRig(t)
	for name, m := range map[string]struct{ subject, key, prefix string }{
		"key with a dot":        {subject, "a.b", answerTo},
		"key with a wildcard":   {subject, ">", answerTo},
		"key of another tree":   {subject, "../rel.x", answerTo},
		"key with a space":      {subject, "a b", answerTo},
		"key that is too long":  {subject, strings.Repeat("k", 65), answerTo},
		"no key":                {subject, "", answerTo},
		"subject of four parts": {"request.production.shop.x", "ci-1", "answer.unknown.unknown."},
		"subject of one part":   {"request", "ci-1", "answer.unknown.unknown."},
		"strange subject":       {"request.$JS.shop", "ci-1", "answer.unknown.unknown."},
	} {
		msg := r.message(asJSON(t, proceduretest.Request(proceduretest.Key(m.key))))
		msg.Subject = m.subject
		got := r.take(t, msg)
		rest, below := strings.CutPrefix(got.subject, m.prefix)
		if !below || strings.ContainsAny(rest, ".*> ") || got.answer.GetOutcome() != refused {
			t.Errorf("%s: answer on %s: %v", name, got.subject, got.answer)
		}
	}
}

func TestTwoIntakesAtOnceMakeOneRelease(t *testing.T) {
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		r := rigOn(t, n)
		body := asJSON(t, proceduretest.Request())
		var all sync.WaitGroup
		for range 6 {
			in, m := r.open(t), r.message(body)
			all.Go(func() {
				if err := in.Take(t.Context(), m); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		release := procedure.ReleaseID("production", "shop", "ci-4711")
		if got := r.Events(t, release); !cmp.Equal(got, []string{"requested"}) {
			t.Errorf("events %v", got)
		}
		service, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
		if err != nil || !cmp.Equal(service.Open, []string{release}) {
			t.Errorf("open releases %v, %v", service.Open, err)
		}
	})
}

func TestOnlyReleasesThatHaveNotStartedAreSuperseded(t *testing.T) {
	r := newRig(t)
	key := proceduretest.Key
	waiting := r.Reach(t, procedure.PhaseApprove, key("waiting"))
	running := r.Reach(t, procedure.PhaseExecuting, key("running"))
	urgent := r.Request(t, key("urgent"), proceduretest.Emergency)
	elsewhere := r.Request(t, key("elsewhere"), func(q *releasev1.Request) { q.Service = "billing" })
	newer := r.ask(t, key("newer")).GetRelease()
	for release, want := range map[string]releasev1.Outcome{
		waiting: releasev1.Outcome_OUTCOME_SUPERSEDED, running: 0, urgent: 0, elsewhere: 0, newer: 0,
	} {
		if got := r.State(t, release); got.Outcome != want {
			t.Errorf("%s ended %s, want %s (%s)", release, got.Outcome, want, got.EndReason)
		}
	}
	// The older one, asked for again, does not end the newer one.
	r.ask(t, key("newest"))
	if got := r.take(t, r.message(asJSON(t, proceduretest.Request(key("newer"))))).answer; got.GetOutcome() != repeated {
		t.Errorf("asked again: %v", got)
	}
	if got := r.State(t, procedure.ReleaseID("production", "shop", "newest")); got.Phase != procedure.PhaseGates {
		t.Errorf("the newest is in phase %s", got.Phase)
	}
}

func TestAnEmergencySupersedesNothing(t *testing.T) {
	r := newRig(t)
	waiting := r.Reach(t, procedure.PhaseApprove, proceduretest.Key("waiting"))
	r.ask(t, proceduretest.Key("urgent"), proceduretest.Emergency)
	if got := r.State(t, waiting); got.Phase != procedure.PhaseApprove {
		t.Errorf("phase %s", got.Phase)
	}
}

func TestOpenReleasesOfAServiceAreBounded(t *testing.T) {
	r := newRig(t)
	service, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for i := range 512 {
		open = append(open, procedure.ReleaseID("production", "shop", time.Unix(int64(i), 0).String()))
	}
	if _, err := r.Store.Append(t.Context(), service.Draft(service.Changed(open[0], open, nil))); err != nil {
		t.Fatal(err)
	}
	got := r.ask(t)
	if diff := cmp.Diff(map[string]string{"service": "service.open"}, rules(got)); got.GetOutcome() != refused || diff != "" {
		t.Errorf("%v: %s", got.GetOutcome(), diff)
	}
}

func TestARollbackNamesWhatWasExecuted(t *testing.T) {
	r := newRig(t)
	key := proceduretest.Key
	running := r.Reach(t, procedure.PhaseExecuting, key("running"))
	waiting := r.Request(t, key("waiting"))
	other := r.Reach(t, procedure.PhaseExecuting, key("other"), func(q *releasev1.Request) { q.Service = "billing" })
	for i, c := range [][2]string{
		{running, ""},
		{waiting, "rollback_of.untouched"},
		{other, "rollback_of.foreign"},
		{"shop-aaaaaaaaaaaaaaaa", "rollback_of.unknown"},
		{"rel.*.>", "string.pattern"},
	} {
		id, want := c[0], c[1]
		got := r.ask(t, key(fmt.Sprintf("back-%d", i)), proceduretest.Rollback, func(q *releasev1.Request) { q.RollbackOf = id })
		if rules(got)["rollback_of"] != want {
			t.Errorf("back from %s: %v, want %q", id, got, want)
		}
	}
}

// TestARollbackPlacesWhatWasThereBefore: what is new does not go around steps 2 and 3 by
// calling itself a way back.
func TestARollbackPlacesWhatWasThereBefore(t *testing.T) {
	r := newRig(t)
	key := proceduretest.Key
	config := func(digit byte) *releasev1.Artifact {
		return &releasev1.Artifact{Name: "config", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: "shop/config", Digest: proceduretest.Digest(digit)}
	}
	was := func(version string, digit byte) func(*releasev1.Request) {
		return func(q *releasev1.Request) { q.Version, q.Artifacts[0].Digest = version, proceduretest.Digest(digit) }
	}
	with := func(digit byte) func(*releasev1.Request) {
		return func(q *releasev1.Request) { q.Artifacts = append(q.Artifacts, config(digit)) }
	}
	before := r.Reach(t, procedure.PhasePreview, key("before"), was("1.4.1", 'b'), with('c'))
	gone := r.Reach(t, procedure.PhaseExecuting, key("gone"))
	r.Carries(t, "eu1", &releasev1.Deployment{Release: before, Version: "1.4.1", Digest: proceduretest.Digest('b'), Service: "shop"})
	r.Carries(t, "eu1", &releasev1.Deployment{Release: gone, Version: "1.4.2", Digest: proceduretest.Digest('a'), Service: "shop"})
	for i, test := range []struct {
		name   string
		change func(*releasev1.Request)
		want   map[string]string
	}{
		{"what was there before", was("1.4.1", 'b'), nil},
		{"all of what was there before", func(q *releasev1.Request) { was("1.4.1", 'b')(q); with('c')(q) }, nil},
		{"what was never there", was("99.0.0", '9'), map[string]string{"artifacts[0].digest": "rollback_of.artifact"}},
		{"itself", was("1.4.2", 'a'), map[string]string{"artifacts[0].digest": "rollback_of.artifact"}},
		{"what was there under another name", was("99.0.0", 'b'), map[string]string{"version": "rollback_of.version"}},
		{"on a target where it never was", func(q *releasev1.Request) {
			was("1.4.1", 'b')(q)
			proceduretest.Waves([]string{"eu1", "us2"})(q)
		}, map[string]string{"plan.waves[0].targets[1]": "rollback_of.target"}},
		{"together with something new", func(q *releasev1.Request) {
			was("1.4.1", 'b')(q)
			with('9')(q)
		}, map[string]string{"artifacts[1].digest": "rollback_of.artifact"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := r.ask(t, key(fmt.Sprintf("way-%d", i)), proceduretest.Rollback, func(q *releasev1.Request) { q.RollbackOf = gone }, test.change)
			if diff := cmp.Diff(test.want, rules(got), cmpopts.EquateEmpty()); diff != "" || (got.GetOutcome() == refused) != (test.want != nil) {
				t.Errorf("%s: %s", got.GetOutcome(), diff)
			}
		})
	}
}
