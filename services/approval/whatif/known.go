package whatif

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Words for what would keep a start back that is not yet: as the executor says it then.
const (
	ruleEvidence        = "evidence.outdated"
	ruleEvidenceUnknown = "evidence.unknown"
	ruleWaiver          = "waiver.expired"
)

// maxWords bounds what is said of one reason, in bytes.
const maxWords = 1024

// Known is what the record says of a later start besides freezes: the change record as it was
// read last, and the evidence. Nobody is asked for it.
type Known struct {
	records []changerecord.Result
	// seen are the windows of which a start that is held was told, by the rule that demands the
	// record: they are newer.
	seen []*releasev1.HoldReason
	// later names what will not count any more at a start at that time; nil where nothing was
	// judged yet. An error says why nobody can tell.
	later func(at time.Time) ([]*releasev1.GateVerdict, error)
	// reviewers are who can review the procedure documents that the release waits for.
	reviewers map[string][]string
}

// Known reads what there is on record of a release. The documents are its own, and that in
// effect where it is another one. What cannot be read is a part of the answer, and no error.
func (d *Desk) Known(ctx context.Context, documents []*policy.Index, s procedure.State, now time.Time) Known {
	k := Known{reviewers: d.reviewers(ctx, documents[len(documents)-1], s.Holds)}
	for _, h := range s.Holds {
		if s.Phase == procedure.PhaseHeld && s.HeldFor == procedure.PhaseExecute && h.GetRule() == changerecord.RuleWindow {
			k.seen = append(k.seen, h)
		}
	}
	for _, rule := range documents[0].ChangeRecordsFor(s.Request) {
		if slices.ContainsFunc(k.seen, func(h *releasev1.HoldReason) bool { return h.GetSubject() == rule.GetName() }) {
			continue
		}
		i := slices.IndexFunc(s.Gates, func(v *releasev1.GateVerdict) bool { return v.GetGate() == rule.GetName() })
		if i < 0 || len(s.Gates[i].GetEvidence()) != 1 || s.UnkeptReason(s.Gates[i].GetEvidence()[0]) != "" {
			continue // Nothing was read, or it is not there.
		}
		content, err := d.blobs.Get(ctx, s.Gates[i].GetEvidence()[0])
		if err != nil {
			k.records = append(k.records, changerecord.Result{Rule: rule, Unknown: fmt.Errorf("what step 1 read of it is not there, so its window is not known; the start asks again: %w", err)})
			continue
		}
		r, known, err := changerecord.Again(rule, s.Request, content, now)
		if err == nil && known && r.Reading != nil {
			r.Why = "" // It is judged by the start, which may be later.
			k.records = append(k.records, r)
		}
	}
	if s.Confirmed != nil {
		k.later = d.later(ctx, documents, s)
	}
	return k
}

// later judges the gates that step 1 let pass as a start at that time will (PD-1.2). It reads
// the evidence when it is asked for the first time.
func (d *Desk) later(ctx context.Context, documents []*policy.Index, s procedure.State) func(time.Time) ([]*releasev1.GateVerdict, error) {
	return func(at time.Time) ([]*releasev1.GateVerdict, error) {
		if len(documents[0].GatesFor(s.Request)) == 0 {
			return nil, nil
		}
		roots := sigstore.NewShelf(d.blobs.Get)
		var trusts []verdict.Trust
		var envelopes [][]byte
		var gone error
		for _, signers := range documents {
			trust := verdict.Trust{Index: documents[0], Signers: signers}
			if digest := signers.Document().GetSigstore().GetTrustedRoot(); digest != "" {
				var err error
				if trust.Root, err = roots.Root(ctx, digest); err != nil {
					gone = errors.Join(gone, err)
				}
			}
			trusts = append(trusts, trust)
		}
		for _, ref := range slices.Concat(s.Evidence(), s.Confirmed.GetFound()) {
			if s.UnkeptReason(ref.GetDigest()) != "" {
				continue
			}
			content, err := d.blobs.Get(ctx, ref.GetDigest())
			if err != nil {
				gone = errors.Join(gone, fmt.Errorf("evidence %s: %w", ref.GetDigest(), err))
				continue
			}
			envelopes = append(envelopes, content)
		}
		fallen, _ := verdict.Again(s, envelopes, verdict.At(s, at), trusts...)
		if len(fallen) > 0 && gone != nil {
			return nil, gone
		}
		return fallen, nil
	}
}

// falling names the gates that would pass now and not at a start at that time.
func falling(now []*releasev1.GateVerdict, judge func(time.Time) []*releasev1.GateVerdict) func(time.Time) ([]*releasev1.GateVerdict, error) {
	return func(at time.Time) ([]*releasev1.GateVerdict, error) {
		return slices.DeleteFunc(judge(at.Add(verdict.Margin)), func(then *releasev1.GateVerdict) bool {
			return then.GetStatus() != releasev1.GateVerdict_STATUS_FAILED || slices.ContainsFunc(now, func(v *releasev1.GateVerdict) bool {
				return v.GetGate() == then.GetGate() && v.GetStatus() == releasev1.GateVerdict_STATUS_FAILED
			})
		}), nil
	}
}

// Begin says what would hold a start now, and from when on nothing but people and work is
// waited for, by all that is known; no time where no start is feasible, and then which of it
// says so.
func Begin(documents []*policy.Index, s procedure.State, k Known, now time.Time) (*approvalv1.Outlook, error) {
	w := way{index: documents[0], documents: documents, out: &approvalv1.Outlook{}}
	err := w.beginning(documents, s, k, now)
	return w.out, err
}

// outdated adds what will keep the earliest start back by then: evidence that is too old, or
// by a key whose time is over, and a waiver that is.
func (w way) outdated(s procedure.State, k Known) {
	if w.out.GetEarliestStart() == nil || k.later == nil {
		return
	}
	at := w.out.GetEarliestStart().AsTime()
	when := "the earliest start is " + at.UTC().Format(time.RFC3339) + ", and then "
	never := func(rule, subject, why string) {
		w.out.Holds = append(w.out.Holds, &releasev1.HoldReason{Rule: rule, Subject: subject, Message: oneLine("no start is feasible: " + when + why)})
		w.out.EarliestStart = nil
	}
	fallen, err := k.later(at)
	if err != nil {
		w.out.Holds = append(w.out.Holds, &releasev1.HoldReason{
			Rule: ruleEvidenceUnknown, Message: oneLine("whether the evidence counts then is not known: it cannot be read: " + err.Error()),
		})
	}
	for _, v := range fallen {
		never(ruleEvidence, v.GetGate(), "gate "+v.GetGate()+" is not satisfied any more: "+v.GetReason())
	}
	if len(s.Begun) > 0 {
		return
	}
	for _, g := range s.LapsedGates(at.Add(verdict.Margin)) {
		said := slices.ContainsFunc(fallen, func(v *releasev1.GateVerdict) bool { return v.GetGate() == g.Gate })
		if !said && !verdict.Bypassable(s, g.Gate, w.index) {
			never(ruleWaiver, g.Gate, g.Waiver.GetOwner()+" answers for gate "+g.Gate+" no longer than until "+g.Waiver.GetExpires().AsTime().UTC().Format(time.RFC3339))
		}
	}
}

// oneLine makes words of others fit to stand in a line of an answer.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	return strings.ToValidUTF8(text[:min(len(text), maxWords)], "")
}
