package policy_test

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestApprovalsAreAnnouncedByWhatListsThem: by a channel or an audience of where and what is
// released, and by no other.
func TestApprovalsAreAnnouncedByWhatListsThem(t *testing.T) {
	wanted := []releasev1.Occasion{releasev1.Occasion_OCCASION_END, releasev1.Occasion_OCCASION_APPROVAL_WANTED}
	channel := func(c *policyv1.Channel) *policyv1.Procedure {
		return &policyv1.Procedure{Channels: []*policyv1.Channel{{Name: "other", Occasions: wanted[:1]}, c}}
	}
	audience := func(a *policyv1.Audience) *policyv1.Procedure {
		return &policyv1.Procedure{Audiences: []*policyv1.Audience{{Name: "other", Occasions: wanted[:1]}, a}}
	}
	for name, c := range map[string]struct {
		document *policyv1.Procedure
		want     bool
	}{
		"by none":                        {channel(&policyv1.Channel{}), false},
		"by a channel":                   {channel(&policyv1.Channel{Occasions: wanted}), true},
		"by one of here":                 {channel(&policyv1.Channel{Occasions: wanted, Environments: []string{"production"}, Services: []string{"shop"}}), true},
		"by one of elsewhere":            {channel(&policyv1.Channel{Occasions: wanted, Environments: []string{"staging"}}), false},
		"by one of another service":      {channel(&policyv1.Channel{Occasions: wanted, Services: []string{"billing"}}), false},
		"by an audience":                 {audience(&policyv1.Audience{Occasions: wanted, Services: []string{"shop"}}), true},
		"by an audience of elsewhere":    {audience(&policyv1.Audience{Occasions: wanted, Environments: []string{"staging"}}), false},
		"by an audience of another kind": {audience(&policyv1.Audience{Occasions: wanted, Services: []string{"billing"}}), false},
	} {
		r := &releasev1.Request{Environment: "production", Service: "shop"}
		if got := policy.NewIndex(c.document).Announced(r, nil); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
