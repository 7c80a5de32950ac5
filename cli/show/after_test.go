package show_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/show"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// described is what describe says of a release with these events.
func described(t *testing.T, r *recorderv1.Release, events ...*releasev1.Event) string {
	t.Helper()
	var all []*recorderv1.RecordedEvent
	for i, e := range events {
		all = append(all, &recorderv1.RecordedEvent{Sequence: uint64(i) + 1, Event: e})
	}
	var out bytes.Buffer
	if err := show.Describe(&out, r, all); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func escalated(cause releasev1.Cause) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{Cause: cause, Rung: 1, Incident: "INC-8"}}}
}

func TestWhoeverDecidedHasTakenTheEscalationOn(t *testing.T) {
	eve := &releasev1.Actor{Id: "eve", Kind: releasev1.Actor_KIND_HUMAN}
	for name, e := range map[string]struct{ called, taken *releasev1.Event }{
		"accepted": {escalated(releasev1.Cause_CAUSE_OUTCOME_UNKNOWN), &releasev1.Event{Actor: eve, Data: &releasev1.Event_Intervened{
			Intervened: &releasev1.Intervened{Action: releasev1.Intervened_ACTION_ACCEPT, Reason: "looked at it"},
		}}},
		"reviewed": {escalated(releasev1.Cause_CAUSE_REVIEW_OVERDUE), &releasev1.Event{Actor: eve, Data: &releasev1.Event_ReviewCompleted{
			ReviewCompleted: &releasev1.ReviewCompleted{Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED},
		}}},
	} {
		got := described(t, &recorderv1.Release{Release: "shop-a"}, e.called, e.taken)
		if !strings.Contains(got, "taken on by eve") || strings.Contains(got, "open, acknowledge by") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestWhatIsToBeDoneAndWhatTakesItBackAreDescribed(t *testing.T) {
	due := timestamppb.New(timestamppb.Now().AsTime())
	what := func(action string) *releasev1.FollowUp {
		return &releasev1.FollowUp{Action: action, Owner: "ada", Due: due}
	}
	got := described(t, &recorderv1.Release{
		Release: "shop-a", TakenBackBy: []*recorderv1.WayBack{{Release: "shop-b", Phase: "approve"}},
		FollowUps: []*recorderv1.FollowUpAction{
			{Number: 1, FollowUp: what("write a test")}, {Number: 2, FollowUp: what("tell ops"), ClosedBy: "olu", Closed: due, Comment: "told"},
		},
	})
	for _, want := range []string{"write a test", "open, due ", "closed by olu", "told", "Taken back by", "shop-b"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	old := described(t, &recorderv1.Release{Release: "shop-a"}, &releasev1.Event{Data: &releasev1.Event_ReviewCompleted{
		ReviewCompleted: &releasev1.ReviewCompleted{FollowUps: []*releasev1.FollowUp{what("bound the cache")}},
	}})
	if !strings.Contains(old, "bound the cache") {
		t.Errorf("of a release that was recorded long ago:\n%s", old)
	}
}
