package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ErrDocument means that a document is not the evidence of a bake of such a plan.
var ErrDocument = errors.New("not the samples of this bake")

// Approved is a target and the artifact that had to run on it.
type Approved struct{ Target, Digest string }

// Rejudge derives the results of a bake again from its document (N-01): every verdict
// from the samples that are kept, by these checks, for those of the targets of the release
// that were looked at; and the outcome of a sample from what was measured. It is pure, and believes no verdict of the document: where one differs from
// what its samples amount to, that is an error. Errors wrap ErrDocument.
//
// What it takes from the document as it is: the samples, that the bake ended early and
// why, what was unusual about its window, and when it began and ended.
func Rejudge(content []byte, release Release, checks []*releasev1.Check, targets []Approved) (*releasev1.Verification, error) {
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if d.Schema != MediaType {
		return nil, fmt.Errorf("%w: schema %.64q", ErrDocument, d.Schema)
	}
	if !reflect.DeepEqual(d.Checks, criteria(checks)) {
		return nil, fmt.Errorf("%w: checks: other criteria than those of the release", ErrDocument)
	}
	bake, err := time.ParseDuration(d.Bake)
	if err != nil {
		return nil, fmt.Errorf("%w: bake: %w", ErrDocument, err)
	}
	v := &releasev1.Verification{Started: timestamppb.New(d.Started), Ended: timestamppb.New(d.Ended)}
	for i, place := range d.Targets {
		if !slices.Contains(targets, Approved{place.Target, place.ApprovedDigest}) {
			return nil, fmt.Errorf("%w: targets[%d]: %.64q, or what was approved for it, is not that of the release", ErrDocument, i, place.Target)
		}
		results, err := place.rejudge(release, checks, d.EndedEarly, d.Start, d.Start.Add(bake))
		if err != nil {
			return nil, fmt.Errorf("%w: targets[%d].%w", ErrDocument, i, err)
		}
		v.Results = append(v.Results, results...)
	}
	verdict := overall(checks, v.GetResults())
	v.Reason = sentence(verdict, v.GetResults(), d.EndedEarly, d.Notes)
	if d.Verdict != word(verdict) || d.Reason != v.GetReason() {
		return nil, fmt.Errorf("%w: verdict: it says %s (%s), its samples amount to %s (%s)", ErrDocument, d.Verdict, d.Reason, word(verdict), v.GetReason())
	}
	return v, nil
}

// rejudge derives the results of one target.
func (p documentTarget) rejudge(release Release, checks []*releasev1.Check, early string, start, end time.Time) ([]*releasev1.CheckResult, error) {
	asked := queries(checks, release.names(p.Target, p.ApprovedDigest), p.placed)
	if !slices.Equal(p.Queries, asked) {
		return nil, errors.New("queries: other ones than those of the release")
	}
	known, err := p.known(release, checks)
	if err != nil {
		return nil, err
	}
	if len(p.Results) != len(checks)+1 {
		return nil, fmt.Errorf("results: %d of %d", len(p.Results), len(checks)+1)
	}
	if p.Results[0].Comparison != nil {
		return nil, errors.New("results[0].comparison: what runs on a target is compared with nothing")
	}
	first, last := split(p.Results[0].Samples)
	results := []*releasev1.CheckResult{judgeDigest(p.Target, p.ApprovedDigest, first, last)}
	for i, c := range checks {
		if err := reanswered(c, release.Answers, p.Results[i+1].Samples); err != nil {
			return nil, fmt.Errorf("results[%d].%w", i+1, err)
		}
		for j, s := range p.Results[i+1].Samples {
			if err := remeasured(c, s); err != nil {
				return nil, fmt.Errorf("results[%d].samples[%d]: %w", i+1, j, err)
			}
			if err := recounted(c, release.since(p.Target), s); err != nil {
				return nil, fmt.Errorf("results[%d].samples[%d]: %w", i+1, j, err)
			}
			if err := rerun(c, s); err != nil {
				return nil, fmt.Errorf("results[%d].samples[%d]: %w", i+1, j, err)
			}
			if err := reinspected(c, known, s); err != nil {
				return nil, fmt.Errorf("results[%d].samples[%d]: %w", i+1, j, err)
			}
		}
		compared := p.Results[i+1].Comparison
		if err := compared.rejudge(release, c, Approved{p.Target, p.ApprovedDigest}, p.place(c.GetPrometheus().GetSource()), start, end); err != nil {
			return nil, fmt.Errorf("results[%d].%w", i+1, err)
		}
		result := blend(Judge(c, p.Results[i+1].Samples), c, compared)
		result.Target = p.Target
		results = append(results, complete(result, early))
	}
	for i, r := range results {
		if said := p.Results[i]; said.Check != r.GetCheck() || said.Verdict != word(r.GetVerdict()) || said.Reason != r.GetReason() {
			return nil, fmt.Errorf("results[%d]: it says %s %s (%s), its samples amount to %s %s (%s)",
				i, said.Check, said.Verdict, said.Reason, r.GetCheck(), word(r.GetVerdict()), r.GetReason())
		}
	}
	return results, nil
}

// known is what objects of a cluster were compared with, by the release; which images were
// approved is taken from the document where the release does not say it, as on the way back.
func (p documentTarget) known(release Release, checks []*releasev1.Check) (Known, error) {
	if !slices.ContainsFunc(checks, criterion.InKubernetes) {
		if p.Kubernetes != nil {
			return Known{}, errors.New("kubernetes: no check looks there")
		}
		return Known{}, nil
	}
	if p.Kubernetes == nil {
		return Known{}, errors.New("kubernetes: it is not said where that is")
	}
	known := release.known(p.Target)
	if release.Images == nil && !release.Back.IsZero() {
		known.Images = p.Kubernetes.Images
	}
	if !reflect.DeepEqual(known.document(*p.Kubernetes), p.Kubernetes) || p.Kubernetes.Since != nil && known.Since.IsZero() {
		return Known{}, errors.New("kubernetes: other images, or another beginning, than those of the release")
	}
	return known, nil
}

// place takes from the document where a source of metrics was.
func (p documentTarget) place(source string) string { return p.placed(kindPrometheus, source) }

// placed takes from the document where a source of a kind was.
func (p documentTarget) placed(kind, source string) string {
	if i := slices.IndexFunc(p.Queries, func(q documentQuery) bool { return q.Source == source && (q.Kind == kindLogs) == (kind == kindLogs) }); i >= 0 {
		return p.Queries[i].URL
	}
	return ""
}

// split finds where the answers at the beginning end, which are kept in one list with
// those at the end: a target is asked until it has told, and then no more before the end.
func split(samples []Sample) (first, last []Sample) {
	i := slices.IndexFunc(samples, func(s Sample) bool { return s.Outcome != Error })
	if i < 0 {
		return samples, nil
	}
	return samples[:i+1], samples[i+1:]
}

// Holds reports whether a document has samples of that target.
func Holds(content []byte, target string) bool {
	var d document
	return json.Unmarshal(content, &d) == nil && slices.ContainsFunc(d.Targets, func(t documentTarget) bool { return t.Target == target })
}
