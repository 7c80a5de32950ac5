package policy_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func reverify(every, during time.Duration, changes ...func(*policyv1.Reverify)) *policyv1.Reverify {
	r := &policyv1.Reverify{Every: durationpb.New(every), During: durationpb.New(during)}
	for _, change := range changes {
		change(r)
	}
	return r
}

// TestReverificationOfADocument: what cannot be, or would never come to anything, is refused by the
// field.
func TestReverificationOfADocument(t *testing.T) {
	text := string(readExample(t))
	for name, test := range map[string]struct {
		rule string
		want string // The field; empty for a rule that is in order.
	}{
		"in order":                           {"every: 1h, during: 24h", ""},
		"as many as there may be":            {"every: 1m, during: 64m", ""},
		"without an interval":                {"during: 1h", "reverify.every"},
		"too often":                          {"every: 1ms, during: 1s", "reverify.every"},
		"without an end":                     {"every: 1h", "reverify.during"},
		"over before the first":              {"every: 1h, during: 59m", "reverify.during"},
		"too many":                           {"every: 1m, during: 65m", "reverify.during"},
		"a look longer than between":         {"every: 1h, during: 24h, look: 2h", "reverify.look"},
		"a look of nothing":                  {"every: 1h, during: 24h, look: 0s", "reverify.look"},
		"nobody is ever called":              {"every: 1h, during: 2h, unseen: 3", "reverify.unseen"},
		"no environment":                     {"every: 1h, during: 24h, environments: [moon]", "reverify.environments[0]"},
		"no service":                         {"every: 1h, during: 24h, services: [moon]", "reverify.services[0]"},
		"a check of the catalogue":           {"every: 1h, during: 24h, checks: [healthy]", ""},
		"no check of that name":              {"every: 1h, during: 24h, checks: [healthy, healhty]", "reverify.checks[1]"},
		"a check of another service":         {"every: 1h, during: 24h, services: [billing], checks: [healthy]", "reverify.checks[0]"},
		"a check that can have no such name": {"every: 1h, during: 24h, checks: [target.digest]", "reverify.checks[0]"},
	} {
		_, err := policy.Parse([]byte(text+"\nreverify: {"+test.rule+"}\n"), "procedure.yaml")
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want+":")) {
			t.Errorf("%s: want %q, got %v", name, test.want, err)
		}
	}
}

// TestWhichReleasesAreLookedAtAgain are those of the environments and services that the document
// names, by what it said when they were asked for.
func TestWhichReleasesAreLookedAtAgain(t *testing.T) {
	d := example(t)
	d.Reverify = nil
	request := &releasev1.Request{Environment: d.GetEnvironments()[0].GetName(), Service: d.GetServices()[0].GetName()}
	got := func() *releasev1.Reverification { return policy.NewIndex(d).Reverification(request) }
	if r := got(); r != nil {
		t.Errorf("without a word of it: %v", r)
	}
	d.Reverify = reverify(time.Hour, 24*time.Hour, func(r *policyv1.Reverify) {
		r.Environments, r.Services, r.Checks = []string{request.GetEnvironment()}, []string{request.GetService()}, []string{"health"}
	})
	want := &releasev1.Reverification{Every: durationpb.New(time.Hour), During: durationpb.New(24 * time.Hour), Unseen: 3, Checks: []string{"health"}}
	if r := got(); !proto.Equal(r, want) {
		t.Errorf("got %v, want %v", r, want)
	}
	d.Reverify.Look, d.Reverify.Unseen = durationpb.New(time.Minute), 5
	if r := got(); r.GetLook().AsDuration() != time.Minute || r.GetUnseen() != 5 {
		t.Errorf("got %v", r)
	}
	for _, other := range []func(){func() { request.Service = "other" }, func() { request.Environment = "other" }} {
		if other(); got() != nil {
			t.Error("one of another service or environment is looked at")
		}
	}
}

// TestLookingAgainLessIsLooser than more.
func TestLookingAgainLessIsLooser(t *testing.T) {
	day := reverify(time.Hour, 24*time.Hour)
	for name, test := range map[string]struct {
		before, after *policyv1.Reverify
		looser        bool
	}{
		"not at all":         {day, nil, true},
		"for the first time": {nil, day, false},
		"less often":         {day, reverify(2*time.Hour, 24*time.Hour), true},
		"more often":         {day, reverify(30*time.Minute, 24*time.Hour), false},
		"for less long":      {day, reverify(time.Hour, 12*time.Hour), true},
		"by fewer checks":    {day, reverify(time.Hour, 24*time.Hour, func(r *policyv1.Reverify) { r.Checks = []string{"health"} }), true},
		"of fewer services":  {day, reverify(time.Hour, 24*time.Hour, func(r *policyv1.Reverify) { r.Services = []string{"shop"} }), true},
	} {
		before, after := &policyv1.Procedure{Reverify: test.before}, &policyv1.Procedure{Reverify: test.after}
		if got := policy.Loosened(before, after); (len(got) > 0) != test.looser {
			t.Errorf("%s: %v", name, got)
		}
	}
}
