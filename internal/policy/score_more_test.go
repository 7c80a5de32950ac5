package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// heavy weighs everything that is known of a release besides its declared risk.
func heavy() *policyv1.Procedure {
	return &policyv1.Procedure{
		Services: []*policyv1.Service{
			{Name: "shop", Tier: 2, Dependencies: []string{"billing"}},
			{Name: "billing", Tier: 1},
			{Name: "web", Tier: 3, Dependencies: []string{"billing", "shop"}},
			{Name: "blog"},
		},
		RiskScore: &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Tier1: 10, Tier2: 5, Tier3: 2, OffHours: 7, Dependent: 3, Wave: 1, Artifact: 4, FailedRelease: 6},
			Levels:  []*policyv1.RiskLevel{{From: 1}},
			WorkingHours: []*policyv1.QuietHours{{
				Days: []policyv1.Weekly_Day{policyv1.Weekly_DAY_MONDAY, policyv1.Weekly_DAY_FRIDAY}, From: "08:00", To: "18:00", TimeZone: "Europe/Berlin",
			}},
		},
	}
}

// weighed is the score in words.
func weighed(s procedure.State, at time.Time) string {
	score, _ := policy.Score(heavy(), s, false, at)
	var out []string
	for _, in := range score.GetInputs() {
		out = append(out, fmt.Sprintf("%s %d %d", in.GetFact(), in.GetCount(), in.GetPoints()))
	}
	return strings.Join(out, ", ")
}

func released(service string, changes ...func(*procedure.State)) procedure.State {
	s := procedure.State{Request: &releasev1.Request{
		Service: service, Artifacts: []*releasev1.Artifact{{}}, Plan: &releasev1.Plan{Waves: []*releasev1.Wave{{Targets: []string{"eu1", "us1"}}}},
	}}
	for _, change := range changes {
		change(&s)
	}
	return s
}

// TestWhatMakesAReleaseDangerous counts each fact by what is on record of it.
func TestWhatMakesAReleaseDangerous(t *testing.T) {
	friday := time.Date(2026, 6, 12, 10, 0, 0, 0, time.UTC)
	back := func(releases ...string) *releasev1.ScopedTarget {
		state := &releasev1.TargetState{}
		for _, r := range releases {
			state.RolledBack = append(state.RolledBack, &releasev1.Deployment{Release: r, Service: strings.Split(r, "-")[0]})
		}
		return &releasev1.ScopedTarget{State: state}
	}
	for _, test := range []struct {
		name  string
		state procedure.State
		want  string
	}{
		{"much depends on it", released("billing"), "tier1 1 10, dependent 2 6, wave 1 1, artifact 1 4"},
		{"less", released("shop"), "tier2 1 5, dependent 1 3, wave 1 1, artifact 1 4"},
		{"nothing", released("web"), "tier3 1 2, wave 1 1, artifact 1 4"},
		{"nobody says", released("blog"), "wave 1 1, artifact 1 4"},
		{"unknown", released("moon"), "wave 1 1, artifact 1 4"},
		{"large", released("blog", func(s *procedure.State) {
			s.Request.Artifacts = append(s.Request.Artifacts, &releasev1.Artifact{}, &releasev1.Artifact{})
			s.Request.Plan.Waves = append(s.Request.Plan.Waves, &releasev1.Wave{Targets: []string{"us2"}})
		}), "wave 2 2, artifact 3 12"},
		{"failed before, and others did", released("blog", func(s *procedure.State) {
			s.Targets = []*releasev1.ScopedTarget{back("blog-1", "shop-9", "blog-2"), back("blog-2"), {}}
		}), "wave 1 1, artifact 1 4, failed_release 2 12"},
	} {
		if got := weighed(test.state, friday); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestOffHoursFollowTheClockOnTheWall, also in the winter, and are those of the planned start.
func TestOffHoursFollowTheClockOnTheWall(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, test := range []struct {
		now, notBefore string
		off            bool
	}{
		{"2026-06-12T06:00:00Z", "", false}, // 08:00 in Berlin
		{"2026-06-12T05:59:59Z", "", true},
		{"2026-06-12T15:59:59Z", "", false},
		{"2026-06-12T16:00:00Z", "", true},
		{"2026-12-11T06:30:00Z", "", true}, // 07:30 in Berlin
		{"2026-12-11T07:00:00Z", "", false},
		{"2026-06-11T10:00:00Z", "", true}, // a Thursday
		{"2026-06-11T10:00:00Z", "2026-06-12T10:00:00Z", false},
		{"2026-06-12T10:00:00Z", "2026-06-12T22:00:00Z", true},
		{"2026-06-12T10:00:00Z", "2026-06-11T22:00:00Z", false}, // it is past
	} {
		s := released("blog")
		if test.notBefore != "" {
			s.Request.NotBefore = timestamppb.New(at(test.notBefore))
		}
		if got := strings.Contains(weighed(s, at(test.now)), "off_hours 1 7"); got != test.off {
			t.Errorf("%s, planned %q: off hours %v", test.now, test.notBefore, got)
		}
	}
}
