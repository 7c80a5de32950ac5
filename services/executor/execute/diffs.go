package execute

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// ruleDiff names a target of which its own tool says otherwise than was approved.
const ruleDiff = "preview.changed"

// diffs is what the tools of targets said at a start.
type diffs struct {
	holds    []*releasev1.HoldReason
	findings []*releasev1.Finding
	bypassed []string
}

// diffs asks the tools of the wave's targets again what would change, and holds it against
// what people were shown. Another answer refuses, an emergency as well: what would
// happen is not what was approved. Where there is none the start waits for it, and an
// emergency goes on, with the record saying around what. A target that the release has
// begun to change differs on purpose, and one of which nothing was shown is not asked.
func (s shell) diffs(ctx context.Context, t reactor.Task) (diffs, error) {
	var asked []string
	for _, id := range t.State.WaveTargets() {
		if t.State.Preview(id).GetDiffDigest() != "" && !slices.Contains(t.State.Begun, id) {
			asked = append(asked, id)
		}
	}
	answers, failures := make([]driver.Diff, len(asked)), make([]error, len(asked))
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for i, id := range asked {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			answers[i], failures[i] = s.Diff(ctx, t.State, id, t.State.Preview(id).GetRollbackDigest())
		})
	}
	all.Wait()
	var out diffs
	for i, id := range asked {
		why := answers[i].Failed
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case failures[i] != nil:
			why = failures[i].Error()
		case !answers[i].Asked:
			why = "no tool of its own is configured any more"
		case why != "":
		default:
			if err := s.compare(ctx, &out, id, t.State.Preview(id).GetDiffDigest(), answers[i]); err != nil {
				return out, err
			}
			continue
		}
		around := "preview: target " + id
		switch {
		case !t.State.Emergency():
			out.holds = append(out.holds, &releasev1.HoldReason{
				Rule: procedure.HoldPreviewUnknown, Subject: id, Message: site.Line("nobody can tell whether target " + id + " would still be changed as was approved: " + why),
			})
		case !slices.Contains(t.State.Bypassed, around):
			out.bypassed = append(out.bypassed, around)
		}
	}
	return out, nil
}

// compare keeps an answer that is another one, so that people can see what differs.
func (s shell) compare(ctx context.Context, out *diffs, id, approved string, answer driver.Diff) error {
	now := answer.Digest()
	if now == approved {
		return nil
	}
	where := now
	if _, err := s.Blobs.Put(ctx, "text/plain; charset=utf-8", "diff of "+id, []byte(answer.Text)); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		where += " (not kept)" // It is refused all the same.
	}
	out.findings = append(out.findings, &releasev1.Finding{
		Rule: ruleDiff, Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: id, Message: strings.Join([]string{
			"the tool of target", id, "says otherwise than was approved: it printed", approved, "and now prints", where + ": request it again",
		}, " "),
	})
	return nil
}
