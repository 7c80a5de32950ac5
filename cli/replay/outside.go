package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// What other systems said is kept as evidence; what follows from it is judged again. That
// they said just this nobody can derive, since they sign nothing.

// records judges the change records of step 1 again, by every rule that demands one, from
// the answers that were kept.
func (p *pass) records(ctx context.Context, d *Decision, index *policy.Index, before procedure.State, e *releasev1.Event, now time.Time) ([]*releasev1.GateVerdict, error) {
	rules := index.ChangeRecordsFor(before.Request)
	if len(rules) == 0 || e.GetGatesHeld() != nil {
		return nil, nil // A wait says nothing of them.
	}
	recorded := slices.Concat(e.GetGatesConfirmed().GetVerdicts(), e.GetGatesRefused().GetVerdicts())
	var out []*releasev1.GateVerdict
	for _, rule := range rules {
		i := slices.IndexFunc(recorded, func(v *releasev1.GateVerdict) bool { return v.GetGate() == rule.GetName() })
		if i < 0 {
			return nil, fmt.Errorf("%w: verdicts: there is none on the change record that %s demands", errDiffers, rule.GetName())
		}
		v, err := p.record(ctx, d, rule, before.Request, recorded[i], now)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (p *pass) record(ctx context.Context, d *Decision, rule *policyv1.ChangeRecordRule, request *releasev1.Request, recorded *releasev1.GateVerdict, now time.Time) (*releasev1.GateVerdict, error) {
	var document []byte
	if kept := recorded.GetEvidence(); len(kept) == 1 {
		var err error
		if document, err = p.blob(ctx, kept[0]); err != nil {
			return nil, err
		}
	}
	result, known, err := changerecord.Again(rule, request, document, gates.StartOf(request, now))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w %s: %w", errInput, recorded.GetEvidence()[0], err)
	case !known && document == nil && recorded.GetStatus() == releasev1.GateVerdict_STATUS_PASSED:
		return nil, fmt.Errorf("%w: verdicts: change record %s passed, and no answer is kept", errDiffers, rule.GetName())
	case !known:
		d.Result, d.Taken = Partly, append(d.Taken, "change record "+rule.GetName()+": what the system said that keeps it, or that it said nothing")
		return recorded, nil
	}
	if document != nil {
		d.Result, d.Taken = Partly, append(d.Taken, "change record "+rule.GetName()+": that "+rule.GetConnector()+" gave the answer from which it is judged")
	}
	v := gates.Verdict(result)
	v.Evidence = recorded.GetEvidence()
	return v, nil
}

// readings judges the change records of a start again. Where the clock value was not kept,
// windows could have ended since, and only what was read is compared.
func (p *pass) readings(ctx context.Context, index *policy.Index, before procedure.State, claimed *releasev1.ExecutionClaimed, now time.Time) (judged int, err error) {
	demanded := 0
	for _, rule := range index.ChangeRecordsFor(before.Request) {
		if before.Emergency() && rule.GetBypassable() {
			continue
		}
		demanded++
		i := slices.IndexFunc(claimed.GetChangeRecords(), func(r *releasev1.RecordReading) bool { return r.GetRule() == rule.GetName() })
		if i < 0 {
			return 0, fmt.Errorf("%w: change_records: there is none that %s demands", errDiffers, rule.GetName())
		}
		recorded := claimed.GetChangeRecords()[i]
		document, err := p.blob(ctx, recorded.GetDigest())
		if err != nil {
			return 0, err
		}
		result, known, err := changerecord.Again(rule, before.Request, document, now)
		if err != nil {
			return 0, fmt.Errorf("%w %s: %w", errInput, recorded.GetDigest(), err)
		}
		if !known {
			continue
		}
		judged++
		want := proto.CloneOf(result.Reading)
		if want != nil {
			want.Digest = recorded.GetDigest()
		}
		switch {
		case result.Why != "":
			return 0, fmt.Errorf("%w: change_records[%d]: the start should have been refused: %s", errDiffers, i, result.Why)
		case !result.From.IsZero():
			return 0, fmt.Errorf("%w: change_records[%d]: the start should have waited until %s", errDiffers, i, result.From.UTC().Format(time.RFC3339))
		case !proto.Equal(want, recorded):
			return 0, fmt.Errorf("%w: change_records[%d]: the answer that is kept says something else", errDiffers, i)
		}
	}
	if demanded != len(claimed.GetChangeRecords()) {
		return 0, fmt.Errorf("%w: change_records: %d, and %d are demanded", errDiffers, len(claimed.GetChangeRecords()), demanded)
	}
	return judged, nil
}

// seen is what a risk decision says that it saw elsewhere, with the alerts in the answers
// that were kept.
func (p *pass) seen(ctx context.Context, index *policy.Index, before procedure.State, e *releasev1.Event) (risk.Seen, error) {
	for _, name := range risk.Unjudged(index, before, e.GetRiskCleared()) {
		return risk.Seen{}, fmt.Errorf("%w: findings: there is none by the alert rule %s, which concerns the release", errDiffers, name)
	}
	seen := risk.SeenIn(e)
	if seen.Answers == nil {
		return seen, nil
	}
	var err error
	seen.Answers, err = p.answers(ctx, risk.Asked(e))
	return seen, err
}
