package replay

import (
	"context"
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// answers reads what sources of alerts said, as it was kept.
func (p *pass) answers(ctx context.Context, said []*releasev1.AlertAnswer) ([]alerts.Answer, error) {
	var out []alerts.Answer
	for _, a := range said {
		answer := alerts.Answer{Record: a}
		if a.GetError() == "" {
			body, err := p.blob(ctx, a.GetAnswer().GetDigest())
			if err != nil {
				return nil, err
			}
			if answer.Alerts, err = alerts.Parse(body); err != nil {
				return nil, fmt.Errorf("%w %s: it is no answer of a source of alerts: %w", errInput, a.GetAnswer().GetDigest(), err)
			}
		}
		out = append(out, answer)
	}
	return out, nil
}

// alarms judges the alert rules of a start again, from the answers that were kept. Nothing is
// known of a start of before sources were asked at starts: nil.
func (p *pass) alarms(ctx context.Context, index *policy.Index, before procedure.State, said []*releasev1.AlertAnswer) ([]alerts.Verdict, error) {
	if len(said) == 0 {
		return nil, nil
	}
	answers, err := p.answers(ctx, said)
	if err != nil {
		return nil, err
	}
	verdicts, err := alerts.Judge(index.Document().GetAlerts(), before.Request, answers)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", errInput, before.ProcedureDigest, err)
	}
	return verdicts, nil
}

// quiet judges that no alert held a claim, and that an emergency says which rules it goes
// around.
func (p *pass) quiet(ctx context.Context, index *policy.Index, before procedure.State, x *releasev1.ExecutionClaimed) (judged bool, err error) {
	verdicts, err := p.alarms(ctx, index, before, x.GetAlerts())
	if err != nil {
		return false, err
	}
	around := slices.Concat(before.Bypassed, x.GetBypassed())
	for _, v := range verdicts {
		switch {
		case v.Why == "":
		case !alerts.Bypass(v.Rule, before.Request):
			return false, fmt.Errorf("%w: alerts: the start should have waited by %s: %s", errDiffers, v.Rule.GetName(), v.Why)
		case !slices.Contains(around, alerts.Around(v.Rule)):
			return false, fmt.Errorf("%w: bypassed: %s holds the start, and is not there", errDiffers, alerts.Around(v.Rule))
		}
	}
	return len(verdicts) > 0, nil
}

// watches reports whether a rule about alerts concerns the release.
func watches(index *policy.Index, before procedure.State) bool {
	for _, rule := range index.Document().GetAlerts() {
		if alerts.Applies(rule, before.Request) {
			return true
		}
	}
	return false
}

// startHeld judges the alerts again that made a start wait: just those that the answers say.
// What else it waited for, the executor found at the start.
func (p *pass) startHeld(ctx context.Context, d *Decision, before procedure.State, x *releasev1.Held) error {
	d.Result, d.Taken = Taken, []string{"what the executor found at the start, in other histories too"}
	if len(x.GetAlerts()) == 0 {
		return nil
	}
	index, err := p.document(ctx, before.ProcedureDigest)
	if err != nil {
		return err
	}
	verdicts, err := p.alarms(ctx, index, before, x.GetAlerts())
	if err != nil {
		return err
	}
	var want, got []string
	for _, v := range verdicts {
		if v.Why != "" && !alerts.Bypass(v.Rule, before.Request) {
			want = append(want, v.Word+" "+v.Rule.GetName()+": "+v.Why)
		}
	}
	for _, h := range x.GetReasons() {
		if h.GetRule() == alerts.RuleFiring || h.GetRule() == alerts.RuleUnknown {
			got = append(got, h.GetRule()+" "+h.GetSubject()+": "+h.GetMessage())
		}
	}
	if !slices.Equal(want, got) {
		return fmt.Errorf("%w: reasons: by what sources of alerts said they are %.600q, recorded are %.600q", errDiffers, want, got)
	}
	d.partly("the alerts that hold it", "that the sources gave these answers", "what else the executor found at the start, in other histories too")
	return nil
}
