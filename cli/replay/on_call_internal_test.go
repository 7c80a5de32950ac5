package replay

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoWasOnCallIsDerivedAgain from the rotas of the document.
func TestWhoWasOnCallIsDerivedAgain(t *testing.T) {
	index := policy.NewIndex(&policyv1.Procedure{
		People: []*policyv1.Person{{Id: "anna"}, {Id: "ben"}, {Id: "eve"}},
		Groups: []*policyv1.Group{{Name: "sre", Members: []string{"eve"}, OnCall: &policyv1.OnCall{Rotas: []*policyv1.Rota{{
			Name: "weekly", People: []string{"anna", "ben"}, Begin: "2026-01-05T09:00", Shift: durationpb.New(168 * time.Hour), TimeZone: "UTC",
		}}}}},
	})
	at := time.Date(2026, 1, 6, 0, 0, 0, 0, time.UTC)
	_, shift := index.OnCall("sre", at)
	other := proto.CloneOf(shift)
	other.Rota = "night"
	for name, c := range map[string]struct {
		person string
		said   []*releasev1.Shift
		wrong  bool
		detail string
		taken  string
	}{
		"as it is":                        {"anna", []*releasev1.Shift{shift}, false, "that anna was on call for sre in shift 1 of the rota weekly", ""},
		"beside that of another document": {"anna", []*releasev1.Shift{shift, other}, false, "shift 1 of the rota weekly", "shift 1 of the rota night by the document then in effect"},
		"of another rota":                 {"anna", []*releasev1.Shift{other}, true, "", ""},
		"unsaid":                          {"anna", nil, true, "", ""},
		"a member":                        {"eve", nil, false, "", ""},
		"who is on call next":             {"ben", []*releasev1.Shift{shift}, false, "", "that ben was on call for sre"},
	} {
		err := onCall("actor", index, c.person, []string{"sre"}, c.said, at)
		if (err != nil) != c.wrong || err != nil && !errors.Is(err, errDiffers) {
			t.Errorf("%s: %v", name, err)
		}
		d := &Decision{}
		if d.onDuty(index, c.person, c.said, at); c.wrong {
			continue
		}
		if !strings.Contains(d.Detail, c.detail) || !strings.Contains(strings.Join(d.Taken, "; "), c.taken) || (c.taken == "") != (len(d.Taken) == 0) {
			t.Errorf("%s: derived %q, taken %q", name, d.Detail, d.Taken)
		}
	}
}
