// Package scope is the shell of step 2: it looks whether the artifacts are where
// and what they are said to be, whether one of them is in quarantine, what the targets
// carry, and whether version and owner fit (PD-2.1 to PD-2.3).
//
// It wakes on gates_confirmed, and again when a target was changed by another
// release meanwhile, and appends scope_validated or scope_refused. It reads, and
// changes nothing. A registry that does not answer is a transient error; what is
// missing or differs is a finding, and one finding hides no other.
package scope

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve"
)

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Pinner finds an artifact and computes its digest.
type Pinner interface {
	Pin(ctx context.Context, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error)
}

// Reach is what this validator can ask that checks name, or that targets are.
type Reach struct {
	// Sources are the names of the sources of metrics that it has an address of, Logs those of the
	// sources of logs.
	Sources, Logs []string
	// Refuses says why it would not have a program run that a check calls. Nil means that it runs
	// none.
	Refuses func(*releasev1.CommandProbe) error
	// Namespaces are the targets of which it knows which namespace of which cluster they are.
	Namespaces []string
	// Silent are the targets that it has an address of at which they have no way of telling what
	// they run.
	Silent []string
}

// New returns the step of a validator that reaches that much.
func New(procedures Procedures, pinner Pinner, reader standing.Reader, reach Reach) reactor.Step {
	s := shell{procedures, pinner, reader, reach}
	return reactor.Step{ID: procedure.StepScope, Act: s.act}
}

type shell struct {
	procedures Procedures
	pinner     Pinner
	reader     standing.Reader
	reach      Reach
}

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	l := look{request: t.State.Request, index: index}
	var pinned []*releasev1.PinnedArtifact
	for _, a := range l.request.GetArtifacts() {
		p, err := s.pinner.Pin(ctx, a)
		if err != nil && !resolve.Permanent(err) {
			return nil, err
		}
		pinned = append(pinned, p)
		l.artifact(a, p, err)
	}
	l.plans(pinned)
	if err := l.standings(ctx, s.reader, pinned); err != nil {
		return nil, err
	}
	var targets []*releasev1.ScopedTarget
	depth := index.Depth(procedure.Targets(l.request))
	for n, wave := range l.request.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			standing, err := standing.ReadTarget(ctx, s.reader, id)
			if err != nil {
				return nil, err
			}
			scoped := l.target(id, uint32(n), standing.State)
			scoped.Depth = depth[id]
			targets = append(targets, scoped)
		}
	}
	l.quarantine(pinned, targets)
	l.owner()
	l.sources(s.reach.Sources, s.reach.Logs)
	l.commands(s.reach.Refuses)
	l.namespaces(s.reach.Namespaces)
	l.controls(s.reach.Namespaces)
	l.silent(s.reach.Silent)
	if err := l.catalog(ctx, s.reader); err != nil {
		return nil, err
	}
	return []eventstore.Draft{t.Draft(procedure.DecideScope(pinned, targets, l.findings, l.bypassed...))}, nil
}

// look gathers what is found about one release.
type look struct {
	request  *releasev1.Request
	index    *policy.Index
	findings []*releasev1.Finding
	bypassed []string
	// artifacts are those of the request by digest, as far as they are known.
	artifacts map[string]standing.Artifact
}

func (l *look) find(severity releasev1.Finding_Severity, rule, subject, format string, args ...any) {
	l.findings = append(l.findings, &releasev1.Finding{
		Rule: rule, Severity: severity, Subject: subject, Message: line(fmt.Sprintf(format, args...)),
	})
}

func (l *look) artifact(a *releasev1.Artifact, p *releasev1.PinnedArtifact, err error) {
	switch {
	case err == nil:
		l.find(releasev1.Finding_SEVERITY_OK, "artifact.pinned", a.GetName(), "%s is %s%s", a.GetLocation(), a.GetDigest(), more(p))
	case errors.Is(err, resolve.ErrDigest):
		l.find(releasev1.Finding_SEVERITY_BLOCKING, "artifact.digest", a.GetName(), "%v", err)
	case errors.Is(err, resolve.ErrMissing):
		l.find(releasev1.Finding_SEVERITY_BLOCKING, "artifact.missing", a.GetName(), "%v", err)
	case errors.Is(err, resolve.ErrKind):
		l.find(releasev1.Finding_SEVERITY_BLOCKING, "artifact.kind", a.GetName(), "%v", err)
	default:
		l.find(releasev1.Finding_SEVERITY_BLOCKING, "artifact.location", a.GetName(), "%v", err)
	}
}

// more is what was found out about an artifact besides its digest.
func more(p *releasev1.PinnedArtifact) string {
	out := ""
	if p.GetTitle() != "" {
		out += ", " + p.GetTitle()
	}
	if n := len(p.GetPlatforms()); n > 0 {
		out += fmt.Sprintf(", an index of %d platforms", n)
	}
	if p.GetTag() != "" {
		out += fmt.Sprintf("; the tag %q led there at %s", p.GetTag(), p.GetTagResolved().AsTime().UTC().Format(time.RFC3339))
	}
	return out
}

func (l *look) target(id string, wave uint32, state *releasev1.TargetState) *releasev1.ScopedTarget {
	out := &releasev1.ScopedTarget{Target: id, Wave: wave, State: brief(state), Relation: l.relation(state)}
	t := l.index.Target(id)
	if t == nil || t.GetRetired() || t.GetEnvironment() != l.request.GetEnvironment() || !slices.Contains(t.GetServices(), l.request.GetService()) {
		l.find(releasev1.Finding_SEVERITY_BLOCKING, "target.foreign", id, "%s does not take %s in %s",
			id, l.request.GetService(), l.request.GetEnvironment())
		return out
	}
	out.Driver = t.GetDriver()
	l.version(id, out.GetRelation(), state)
	return out
}

// brief is the part of a target's state on which the rest of the release depends.
// What was rolled back before is judged here; with it, the event of a release to many
// targets would be larger than a message may be.
func brief(s *releasev1.TargetState) *releasev1.TargetState {
	return &releasev1.TargetState{
		Deployed: s.GetDeployed(), Previous: s.GetPrevious(), Generation: s.GetGeneration(), UnknownSince: s.GetUnknownSince(),
	}
}

// maxLine bounds the text of a finding, in bytes.
const maxLine = 512

// line makes a text, in which a registry may have had its say, fit for an event.
func line(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine-len("…")], "") + "…"
	}
	return text
}

// relation compares the requested version with the live one. Versions that differ in
// their build alone have no order; another artifact under the very same name is one
// that nobody could tell from it (PD-2.3).
func (l *look) relation(state *releasev1.TargetState) releasev1.ScopedTarget_Relation {
	live := state.GetDeployed()
	if live == nil {
		return releasev1.ScopedTarget_RELATION_FIRST
	}
	if live.GetDigest() == l.request.GetArtifacts()[0].GetDigest() {
		return releasev1.ScopedTarget_RELATION_SAME
	}
	switch semver.Compare("v"+l.request.GetVersion(), "v"+live.GetVersion()) {
	case 1:
		return releasev1.ScopedTarget_RELATION_UPGRADE
	case -1:
		return releasev1.ScopedTarget_RELATION_DOWNGRADE
	}
	if live.GetVersion() == l.request.GetVersion() {
		return releasev1.ScopedTarget_RELATION_REUSED
	}
	return releasev1.ScopedTarget_RELATION_UPGRADE
}

// version calls out what the procedure wants called out (PD-2.3).
func (l *look) version(id string, relation releasev1.ScopedTarget_Relation, state *releasev1.TargetState) {
	rules := l.index.Document().GetVersionRules()
	live := state.GetDeployed()
	switch relation {
	case releasev1.ScopedTarget_RELATION_SAME:
		l.find(l.severity(rules.GetLive(), releasev1.Finding_SEVERITY_WARNING), "version.live", id,
			"%s carries version %s already, since release %s", id, live.GetVersion(), live.GetRelease())
	case releasev1.ScopedTarget_RELATION_REUSED:
		l.find(l.severity(rules.GetReused(), releasev1.Finding_SEVERITY_BLOCKING), "version.reused", id,
			"%s carries another artifact as %s, since release %s", id, live.GetVersion(), live.GetRelease())
	case releasev1.ScopedTarget_RELATION_DOWNGRADE:
		l.find(l.severity(rules.GetOlder(), releasev1.Finding_SEVERITY_BLOCKING), "version.older", id,
			"%s carries version %s, which is newer than %s", id, live.GetVersion(), l.request.GetVersion())
	case releasev1.ScopedTarget_RELATION_UPGRADE, releasev1.ScopedTarget_RELATION_FIRST, releasev1.ScopedTarget_RELATION_UNSPECIFIED:
		l.find(releasev1.Finding_SEVERITY_OK, "version", id, "%s carries %s", id, carries(live))
	}
	for _, gone := range state.GetRolledBack() {
		what := ""
		switch {
		case slices.ContainsFunc(l.request.GetArtifacts(), func(a *releasev1.Artifact) bool { return a.GetDigest() == gone.GetDigest() }):
			what = "artifact"
		case gone.GetVersion() == l.request.GetVersion():
			what = "version"
		default:
			continue
		}
		severity := l.severity(rules.GetRolledBack(), releasev1.Finding_SEVERITY_BLOCKING)
		if l.cleared(gone.GetDigest()) {
			severity = min(severity, releasev1.Finding_SEVERITY_WARNING)
		}
		l.find(severity, "version.rolled_back", id,
			"this %s was rolled back from %s before, by release %s", what, id, gone.GetRelease())
		return
	}
}

func carries(d *releasev1.Deployment) string {
	if d == nil {
		return "nothing yet"
	}
	return "version " + d.GetVersion()
}

// severity is what the procedure document says, or the given one where it says
// nothing. An emergency and a rollback are never stopped by what was there before.
func (l *look) severity(asked, otherwise releasev1.Finding_Severity) releasev1.Finding_Severity {
	if asked == releasev1.Finding_SEVERITY_UNSPECIFIED {
		asked = otherwise
	}
	if asked == releasev1.Finding_SEVERITY_BLOCKING && l.request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED {
		return releasev1.Finding_SEVERITY_WARNING
	}
	return asked
}

// owner looks again at the person who answers for the release (PD-2.2).
func (l *look) owner() {
	id := l.request.GetOwner()
	if !l.index.Owns(id, l.request.GetService()) {
		l.find(releasev1.Finding_SEVERITY_BLOCKING, "owner", id, "%s does not own %s", id, l.request.GetService())
		return
	}
	l.find(releasev1.Finding_SEVERITY_OK, "owner", id, "%s owns %s", l.index.Person(id).GetName(), l.request.GetService())
}
