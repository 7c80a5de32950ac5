package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/attest"
	internalevidence "github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/referrers"
)

const (
	// maxFound bounds the statements beside all images of a release.
	maxFound = 64
	// maxWhy bounds the words on what could not be taken in, in bytes.
	maxWhy = 512
	// besideType is the media type under which found statements are kept.
	besideType = "application/vnd.dsse.envelope.v1+json"
)

// Finder finds the statements that a registry keeps beside an image or a chart;
// *referrers.Finder does. Wanted are the predicate types that matter. Errors that wrap
// referrers.ErrUnreachable may pass.
type Finder interface {
	Find(ctx context.Context, artifact *releasev1.Artifact, wanted []string) ([][]byte, error)
}

// Beside is what registries have beside the images and charts of a release, and what other systems say.
type Beside struct {
	Statements [][]byte
	// Found names them as they are kept, in the same order.
	Found []*releasev1.EvidenceRef
	// Unseen is what could not be taken in.
	Unseen []*releasev1.UnseenEvidence
	// Unkept is what was found and could not be kept.
	Unkept []*releasev1.UnkeptEvidence
	// Records are the verdicts on change records, by what the systems said that keep them.
	Records []*releasev1.GateVerdict
}

// size is what it takes of an event, in bytes.
func (b Beside) size() int {
	return proto.Size(&releasev1.GatesConfirmed{Found: b.Found, Unseen: b.Unseen}) + proto.Size(&releasev1.Event{Unkept: b.Unkept})
}

// beside asks the registries of the images and charts that a required gate is about, and keeps what
// they have. A registry that cannot be asked just now is asked again for half of the time
// that the step has; then nobody knows, and that is a fact like another, and no absence.
// An emergency does not wait, and no urgent release waits for room in the store.
func (s *shell) beside(ctx context.Context, t reactor.Task, index *policy.Index) (Beside, error) {
	var b Beside
	if !index.Document().GetReferrers() {
		return b, nil
	}
	step := t.State.Requested.GetTimeouts().GetStep().AsDuration()
	patient := !s.dry && !t.State.Emergency() && t.Now.Before(t.State.Entered.Add(step/2))
	asking, done := s.bounded(ctx)
	defer done()
	known := map[string]bool{}
	for _, ref := range there(t.State) {
		known[ref.GetDigest()] = true
	}
	for _, a := range t.State.Request.GetArtifacts() {
		wanted := looked(index, t.State.Request, a)
		if len(wanted) == 0 {
			continue
		}
		found, err := s.find(asking, a, wanted)
		if errors.Is(err, referrers.ErrUnreachable) && patient {
			return b, reactor.RetryAfter(min(max(step/20, time.Second), 30*time.Second), err)
		}
		if ctx.Err() != nil {
			return b, ctx.Err()
		}
		fresh := slices.DeleteFunc(found, func(content []byte) bool { return known[internalevidence.Digest(content)] })
		if err == nil && len(b.Statements)+len(fresh) > maxFound {
			err = fmt.Errorf("%w: there are more than %d statements about all artifacts", referrers.ErrBounds, maxFound)
		}
		if err != nil {
			b.Unseen = append(b.Unseen, &releasev1.UnseenEvidence{Artifact: a.GetName(), Reason: s.why(ctx, a, err)})
			continue
		}
		for _, content := range fresh {
			known[internalevidence.Digest(content)] = true
			ref, unkept, err := internalevidence.Keep(ctx, s.keeper, besideType, "statement beside "+a.GetName(), content)
			switch {
			case err != nil && unkept == nil:
				return b, fmt.Errorf("keep what is beside %s: %w", a.GetName(), err)
			case unkept != nil && patient && !t.State.Urgent():
				return b, reactor.RetryAfter(min(max(step/20, time.Second), 30*time.Second), fmt.Errorf("keep what is beside %s: %w", a.GetName(), err))
			case unkept != nil && !t.State.Urgent():
				b.Unseen = append(b.Unseen, &releasev1.UnseenEvidence{Artifact: a.GetName(), Reason: oneLine("what was found cannot be kept as evidence, " + unkept.GetReason())})
				continue
			case unkept != nil:
				b.Unkept = append(b.Unkept, unkept)
			}
			b.Statements, b.Found = append(b.Statements, content), append(b.Found, ref)
		}
	}
	return b, nil
}

func (s *shell) find(ctx context.Context, a *releasev1.Artifact, wanted []string) ([][]byte, error) {
	if s.finder == nil {
		return nil, fmt.Errorf("statements about %s: %w: the approval service is configured with no registry", a.GetName(), referrers.ErrLocation)
	}
	return s.finder.Find(ctx, a, wanted)
}

// looked returns the predicate types by which required gates judge the artifact, where it
// lies in a registry; none where nothing is looked for beside it.
func looked(index *policy.Index, request *releasev1.Request, a *releasev1.Artifact) []string {
	if !policy.InRegistry(a) {
		return nil
	}
	var wanted []string
	for _, g := range index.GatesFor(request) {
		if len(g.GetKinds()) > 0 && !slices.Contains(g.GetKinds(), a.GetKind()) {
			continue
		}
		wanted = append(wanted, g.GetPredicateType())
		if g.GetWaivable() != nil {
			wanted = append(wanted, attest.WaiverType)
		}
	}
	return wanted
}

// oneLine makes words of others fit to stand in a verdict.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	return strings.ToValidUTF8(text[:min(len(text), maxWhy)], "")
}
