package show_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatWasChosenIsShown to whoever approves it, and afterwards; and nothing where nothing
// was.
func TestWhatWasChosenIsShown(t *testing.T) {
	const heading, what = "Chosen by the procedure", "a bake of 30m0s"
	c := &releasev1.Chosen{Bake: durationpb.New(30 * time.Minute)}
	for _, chosen := range []*releasev1.Chosen{c, nil} {
		var decide, described strings.Builder
		if err := show.Decide(&decide, &approvalv1.Pending{Request: proceduretest.Request(), Chosen: chosen}); err != nil {
			t.Fatal(err)
		}
		cleared := &releasev1.Event{Data: &releasev1.Event_RiskCleared{RiskCleared: &releasev1.RiskCleared{Chosen: chosen}}}
		if err := show.Describe(&described, &recorderv1.Release{}, []*recorderv1.RecordedEvent{{Event: cleared}}); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{"who decides": decide.String(), "who looks": described.String()} {
			if strings.Contains(text, heading) != (chosen != nil) || strings.Contains(text, what) != (chosen != nil) {
				t.Errorf("%s sees\n%s", name, text)
			}
		}
	}
}

// TestTargetsAreShownInTheWavesThatRun, and not in those that were asked for.
func TestTargetsAreShownInTheWavesThatRun(t *testing.T) {
	event := func(e *releasev1.Event) *recorderv1.RecordedEvent { return &recorderv1.RecordedEvent{Event: e} }
	c := &releasev1.Chosen{Waves: []*releasev1.Wave{{Targets: []string{"eu1"}}, {Targets: []string{"us1"}}}}
	var out strings.Builder
	if err := show.Describe(&out, &recorderv1.Release{}, []*recorderv1.RecordedEvent{
		event(&releasev1.Event{Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{Request: proceduretest.Request(proceduretest.Waves([]string{"eu1", "us1"}))}}}),
		event(&releasev1.Event{Data: &releasev1.Event_ScopeValidated{ScopeValidated: &releasev1.ScopeValidated{Targets: []*releasev1.ScopedTarget{{Target: "eu1"}, {Target: "us1"}}}}}),
		event(&releasev1.Event{Data: &releasev1.Event_RiskCleared{RiskCleared: &releasev1.RiskCleared{Chosen: c}}}),
	}); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(text, "wave 1 eu1") || !strings.Contains(text, "wave 2 us1") || !strings.Contains(text, "waves of 1, 1 targets") {
		t.Errorf("it says\n%s", out.String())
	}
}
