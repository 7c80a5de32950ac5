package amend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// Bounds of what is said of past releases.
const (
	// maxNamed is how many releases an assessment names, maxAnswers how many answers of each.
	maxNamed   = 32
	maxAnswers = 8
	// maxText bounds one answer in bytes.
	maxText = 1024
	// maxUnknown is after how many releases that cannot be compared nobody looks further: the
	// store is waited for each time, and one of them is enough.
	maxUnknown = 8
	// compareWithin bounds how long one comparison takes, whatever the caller would wait.
	compareWithin = 5 * time.Minute
	// comparesAtOnce is how many are made at the same time: each reads a thousand releases.
	comparesAtOnce = 2
)

// errAgain says that looking took long, and that what is in effect is to be read again.
var errAgain = errors.New("look again")

// comparison is what a document would have changed of past releases, as it was found out for
// one document in effect.
type comparison struct {
	base  string
	short *approvalv1.Comparison
	whole []byte
}

// compareLast says how the newest releases on record would have been answered under a document,
// as many as the one in effect demands. The service finds that out itself, by its own record:
// whoever proposes says nothing of it. A release of which nobody can tell is named; where the
// record does not answer, or time is up, there is an error, and nothing is proposed.
func (s *Server) compareLast(ctx context.Context, d desk, r *approvalv1.ProposeRequest, after *policy.Index) (comparison, error) {
	last := d.index.Document().GetChangeControl().GetCompareLast()
	ctx, cancel := context.WithTimeout(ctx, compareWithin)
	defer cancel()
	select {
	case s.comparing <- struct{}{}:
		defer func() { <-s.comparing }()
	case <-ctx.Done():
		return comparison{}, ctx.Err()
	}
	ids, newest, err := s.Store.NewestReleases(ctx, int(last))
	if err != nil {
		return comparison{}, err
	}
	past := whatif.New(s.Store, s.Procedures, given{s.Evidence, r.GetTrustedRoot()}, whatif.World{})
	whole := &approvalv1.Comparison{Sequence: newest, Total: &releasev1.ProcedureComparison{Last: last}}
	for _, id := range ids {
		if len(whole.GetUnknown()) == maxUnknown {
			whole.Cut, whole.Total.Unknown, whole.Total.Releases = true, whole.GetTotal().GetUnknown()+1, whole.GetTotal().GetReleases()+1
			continue
		}
		answers, err := past.Compare(ctx, after, id)
		switch {
		case errors.Is(err, whatif.ErrUnknownRelease):
			continue // Its request does not count.
		case ctx.Err() != nil:
			return comparison{}, ctx.Err()
		case errors.Is(err, eventstore.ErrUnavailable):
			return comparison{}, err
		case err != nil:
			slog.WarnContext(ctx, "a release cannot be compared", slog.String("release", id), slog.Any("error", err))
			whole.Unknown = append(whole.Unknown, &approvalv1.Incomparable{Release: id, Reason: why(err)})
			whole.Total.Unknown++
		case len(answers) > 0:
			whole.Differences = append(whole.Differences, &approvalv1.Difference{Release: id, Answers: bounded(answers)})
			whole.Total.Changed++
		}
		whole.Total.Releases++
	}
	whole.Steps = steps(whole.GetDifferences())
	return pack(d.active.Digest, whole)
}

// given is the evidence with a trusted root that is kept with the proposal.
type given struct {
	Evidence
	root []byte
}

func (g given) Get(ctx context.Context, digest string) ([]byte, error) {
	if len(g.root) > 0 && evidence.Digest(g.root) == digest {
		return g.root, nil
	}
	return g.Evidence.Get(ctx, digest)
}

// why a release cannot be compared, in words that are everybody's business.
func why(err error) string {
	for _, w := range []struct {
		err   error
		words string
	}{
		{evidence.ErrNotFound, "what it was judged by is not there any more"},
		{evidence.ErrTampered, "what it was judged by was changed"},
		{policy.ErrInvalid, "the procedure document that it ran under cannot be read"},
		{policy.ErrDigest, "the procedure document that it ran under is another one"},
	} {
		if errors.Is(err, w.err) {
			return w.words
		}
	}
	return "it cannot be judged again: the log of the approval service says why"
}

// bounded are answers whose words are not too long.
func bounded(all []*approvalv1.ChangedAnswer) []*approvalv1.ChangedAnswer {
	for _, a := range all {
		a.Before, a.After = short(a.GetBefore()), short(a.GetAfter())
	}
	return all
}

func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText-len("…")], "") + "…"
}

// steps counts releases by the steps that would have answered otherwise, in their order.
func steps(all []*approvalv1.Difference) []*approvalv1.StepChange {
	var out []*approvalv1.StepChange
	for _, number := range []string{"1", "3", "A", "5"} {
		n := uint32(0)
		for _, d := range all {
			if slices.ContainsFunc(d.GetAnswers(), func(a *approvalv1.ChangedAnswer) bool { return a.GetStep() == number }) {
				n++
			}
		}
		if n > 0 {
			out = append(out, &approvalv1.StepChange{Step: number, Releases: n})
		}
	}
	return out
}

// pack writes the whole as evidence, and makes the short form of it that an assessment has.
// Where the whole is larger than evidence may be, of each release less is said.
func pack(base string, whole *approvalv1.Comparison) (comparison, error) {
	out := comparison{base: base}
	for _, most := range []int{256, 32, maxAnswers, 1} {
		cut(whole, len(whole.GetDifferences()), most)
		if proto.Size(whole) > evidence.MaxSize {
			continue // It is larger still as text, which may be half a gigabyte.
		}
		var err error
		if out.whole, err = write(whole); err != nil {
			return comparison{}, err
		}
		if len(out.whole) <= evidence.MaxSize {
			break
		}
	}
	if out.whole == nil || len(out.whole) > evidence.MaxSize {
		return comparison{}, fmt.Errorf("write the comparison: %w", evidence.ErrTooLarge)
	}
	whole.Total.Digest = evidence.Digest(out.whole)
	cut(whole, maxNamed, maxAnswers)
	out.short = whole
	return out, nil
}

// cut leaves so many releases, and so many answers of each.
func cut(c *approvalv1.Comparison, releases, answers int) {
	if len(c.GetDifferences()) > releases {
		c.Differences, c.Cut = c.GetDifferences()[:releases], true
	}
	for _, d := range c.GetDifferences() {
		if len(d.GetAnswers()) > answers {
			d.Answers, c.Cut = d.GetAnswers()[:answers], true
		}
	}
}
