// Package preview is the shell of the first half of step 3: it asks the driver of
// every target what it would change, and whether it could undo it (PD-3.5).
//
// Whether it could is tried, too, and what was tried is in the preview of each target:
// the driver's dry run of the way back, and a look at what would be placed again.
//
// It wakes on scope_validated, and appends change_previewed or preview_refused. It
// changes nothing. Where a tool of the target's own says what would change, what it printed
// is shown as well, and is a part of what people approve. What is shown as the way back is what is placed when it comes to
// that, and a target that carries something else than the record says is called out. A registry or a target that does not answer just now is a
// transient error; an artifact that is not what was asked for refuses.
package preview

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// New returns the step.
func New(s *site.Site) reactor.Step {
	return reactor.Step{ID: procedure.StepPreview, Act: shell{s}.act}
}

type shell struct{ *site.Site }

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.Procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	var keeper evidence.Putter = s.Blobs
	tolerant := evidence.TolerateAt(s.Blobs, t.Delivery)
	if t.State.Urgent() {
		keeper = tolerant
	}
	proof, demanded := s.Proof(t.State), policy.DemandsProof(index.Document(), t.State.Request)
	var previews []*releasev1.TargetPreview
	var findings []*releasev1.Finding
	for _, target := range procedure.Targets(t.State.Request) {
		p, found, err := s.look(ctx, proof, keeper, t, target)
		findings = append(findings, found...)
		switch {
		case err == nil:
			p.Rollback.Demanded = demanded
			previews = append(previews, p)
		case permanent(err):
			findings = append(findings, &releasev1.Finding{
				Rule: "preview", Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: target, Message: site.Line(err.Error()),
			})
		default:
			return nil, err
		}
	}
	return []eventstore.Draft{t.Draft(conclude(previews, joined(findings), tolerant.Unkept()))}, nil
}

// conclude is the event, which says what of the previews could not be kept.
func conclude(previews []*releasev1.TargetPreview, findings []*releasev1.Finding, unkept []*releasev1.UnkeptEvidence) *releasev1.Event {
	event := procedure.DecidePreview(previews, findings)
	event.Unkept = unkept
	lean(previews, unkept)
	return event
}

// keep keeps what approvers of a target's change are shown in full.
func keep(ctx context.Context, keeper evidence.Putter, target, text string) (*releasev1.EvidenceRef, error) {
	return keeper.Put(ctx, "text/plain; charset=utf-8", "preview of "+target, []byte(text))
}

// lean says in few words which previews could not be kept: room for the event of a hundred
// targets was looked at before there was a release, as if everything were kept. The digest
// stays where it is, because it is part of what people approve.
func lean(previews []*releasev1.TargetPreview, unkept []*releasev1.UnkeptEvidence) {
	for _, u := range unkept {
		u.Name = "preview"
		for _, p := range previews {
			if p.GetDetail().GetDigest() == u.GetDigest() {
				p.Detail = &releasev1.EvidenceRef{Digest: u.GetDigest(), Size: p.GetDetail().GetSize()}
			}
		}
	}
}

// told is what the way back would do, for whoever approves: behind what would change.
func told(way *releasev1.RollbackProof, run driver.DryRun) string {
	out := "\nthe way back, by a dry run\n" + run.Steps
	if run.Steps == "" {
		out += run.Reason + "\n"
	}
	if run.Output != "" {
		out += "what its dry run printed\n" + strings.TrimRight(run.Output, "\n") + "\n"
	}
	return out + "what it places again: " + way.GetFound() + "\n"
}

func permanent(err error) bool {
	return site.Permanent(err) || errors.Is(err, site.ErrNoDriver) || errors.Is(err, driver.ErrUnsupported) ||
		errors.Is(err, driver.ErrInvalid) || errors.Is(err, driver.ErrConflict)
}

func (s shell) look(ctx context.Context, proof *site.Proof, keeper evidence.Putter, t reactor.Task, target string) (*releasev1.TargetPreview, []*releasev1.Finding, error) {
	state := t.State
	var findings []*releasev1.Finding
	back, drift, err := s.wayBack(ctx, state, target)
	if err != nil {
		return nil, nil, err
	}
	if drift != nil {
		findings = append(findings, drift)
	}
	d, failed, err := s.diff(ctx, t, target, back)
	if err != nil {
		return nil, findings, err
	}
	p, err := s.preview(ctx, proof, keeper, state, target, back, d)
	return p, append(findings, failed...), err
}

// redacted is a driver's text without what looks like a secret: what is shown to
// approvers is on record for good, and an argument vector may have been given one that
// does not belong there.
func redacted(text string) string {
	clean, _ := argv.Redact([]byte(text))
	return string(clean)
}

func (s shell) preview(ctx context.Context, proof *site.Proof, keeper evidence.Putter, state procedure.State, target, back string, diff driver.Diff) (*releasev1.TargetPreview, error) {
	d, err := s.Driver(target)
	if err != nil {
		return nil, err
	}
	plan, err := s.Plan(ctx, state, target)
	if err != nil {
		return nil, err
	}
	plan.Previous, plan.PreviousVersion = back, site.VersionOf(state, target, back)
	p, err := d.Preview(ctx, plan)
	if err != nil {
		return nil, err
	}
	if most := state.Requested.GetTimeouts().GetExecute().AsDuration(); p.Bound >= most {
		return nil, fmt.Errorf("target %s: it may take %s there, and the procedure document gives an execution %s; it could never begin: %w",
			target, p.Bound, most, driver.ErrInvalid)
	}
	way, run, err := proof.Of(ctx, target, back)
	if err != nil {
		return nil, err
	}
	way.Target, way.Digest = "", "" // the preview names them
	detail, err := keep(ctx, keeper, target, redacted(p.Detail)+told(way, run)+printed(diff))
	if err != nil {
		return nil, err
	}
	return &releasev1.TargetPreview{
		Target: target, Summary: site.Line(redacted(p.Summary) + ending(diff)), DiffDigest: diff.Digest(), Detail: detail, Class: d.Class(),
		RollbackDigest: back, RollbackReady: p.RollbackReady, RollbackReason: site.Line(redacted(p.RollbackReason)), Rollback: way,
	}, nil
}
