package alerts_test

import (
	"context"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// beyond is a source of an alert that no answer could say.
type beyond struct{}

func (beyond) Active(context.Context) ([]alerts.Alert, error) {
	return []alerts.Alert{{Labels: map[string]string{"service": "shop"}, Starts: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}, nil
}

// nowhere keeps nothing, and is not asked to.
type nowhere struct{ t *testing.T }

func (n nowhere) Put(context.Context, string, string, []byte) (*releasev1.EvidenceRef, error) {
	n.t.Error("something was written down")
	return nil, context.Canceled
}

// TestWhatCannotBeWrittenDownIsNoAnswer: it would be none the next time either, and a step
// that asks again and again holds an emergency until its time is over.
func TestWhatCannotBeWrittenDownIsNoAnswer(t *testing.T) {
	request := &releasev1.Request{Service: "shop"}
	rules := []*policyv1.AlertRule{rule("burning", "one", is("service", "shop"))}
	for _, urgent := range []bool{false, true} {
		watch := alerts.Watch{Sources: map[string]alerts.Asked{"one": beyond{}}, Keeper: nowhere{t}}
		answers, err := watch.Ask(t.Context(), alerts.Look{Rules: rules, Request: request, Urgent: urgent})
		if err != nil || len(answers) != 1 || answers[0].Record.GetError() == "" || answers[0].Alerts != nil {
			t.Fatalf("urgent %v: %+v, %v", urgent, answers, err)
		}
		verdicts, err := alerts.Judge(rules, request, answers)
		if err != nil || len(verdicts) != 1 || verdicts[0].Word != alerts.RuleUnknown || verdicts[0].Why == "" {
			t.Errorf("urgent %v: %+v, %v", urgent, verdicts, err)
		}
	}
}
