package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// MediaType is the media type of a report's document.
const MediaType = "application/vnd.shipwarden.samples.v1+json"

// Report is what a bake found.
type Report struct {
	// Verdict is the verdict of everything together.
	Verdict releasev1.CheckResult_Verdict
	// Verification holds the results, one for every check on every target and one
	// for what runs there, when it began and ended, and the reason. Wave, number and
	// the reference to the samples are for the caller to add.
	Verification *releasev1.Verification
	// Document is every sample as JSON: the evidence on which the verdict rests
	// (PD-6.2).
	Document []byte
}

// report judges what was seen.
func (r *run) report(seen []*looks, early string, started time.Time) Report {
	var results []*releasev1.CheckResult
	for _, l := range seen {
		results = append(results, judgeDigest(l.subject.Target.ID(), l.subject.Digest, l.first, l.last))
		for i, c := range r.plan.Checks {
			result := blend(Judge(c, l.checks[i]), c, l.compared[i])
			result.Target = l.subject.Target.ID()
			results = append(results, complete(result, early))
		}
	}
	verdict := overall(r.plan.Checks, results)
	ended := r.Clock.Now()
	reason := sentence(verdict, results, early, r.window.unusual())
	verification := &releasev1.Verification{
		Results: results,
		Started: timestamppb.New(started), Ended: timestamppb.New(ended),
		Reason: reason,
	}
	return Report{
		Verdict: verdict, Verification: verification,
		Document: r.document(seen, verification, verdict, early),
	}
}

// overall is the verdict of all results of a bake: without a single check nothing passes.
func overall(checks []*releasev1.Check, results []*releasev1.CheckResult) releasev1.CheckResult_Verdict {
	verdict := Overall(results)
	if len(checks) == 0 && verdict == pass {
		return inconclusive
	}
	return verdict
}

// complete takes back a pass that rests on part of the bake time only.
func complete(result *releasev1.CheckResult, early string) *releasev1.CheckResult {
	if early != "" && result.GetVerdict() == pass {
		result.Verdict = inconclusive
		result.Reason += ", but the bake ended early"
	}
	return result
}

// sentence says the verdict and the first result that decided it.
func sentence(verdict releasev1.CheckResult_Verdict, results []*releasev1.CheckResult, early string, notes []string) string {
	var text strings.Builder
	deciding := 0
	for _, r := range results {
		if r.GetVerdict() != verdict {
			continue
		}
		if deciding == 0 && verdict != pass {
			fmt.Fprintf(&text, "%s on %s: %s", r.GetCheck(), r.GetTarget(), r.GetReason())
		}
		deciding++
	}
	switch {
	case verdict == pass:
		fmt.Fprintf(&text, "all %d results passed over the whole bake time", len(results))
	case deciding == 0:
		text.WriteString("nothing was looked at")
	case deciding > 1:
		fmt.Fprintf(&text, " (and %d more)", deciding-1)
	}
	if early != "" {
		text.WriteString("; ended early: " + early)
	}
	for _, note := range notes {
		text.WriteString("; " + note)
	}
	return text.String()
}

// place is where a source of metrics is, "" where that is not known.
func (r *run) place(source string) string { return r.placed(kindPrometheus, source) }

func (r *run) placed(kind, name string) string {
	if placed, ok := r.Probers[kind].(Placed); ok {
		return placed.Place(name)
	}
	return ""
}

// cluster is where objects of a target were looked at; nil where no check does that.
func (r *run) cluster(t *target.Target) *documentCluster {
	if !slices.ContainsFunc(r.plan.Checks, criterion.InKubernetes) {
		return nil
	}
	name, namespace := t.Kubernetes()
	return r.plan.Release.known(t.ID()).document(documentCluster{
		Cluster: name, Namespace: namespace, Server: r.placed(kindRollout, name),
	})
}

// document writes down what is known of the release.
func (k Known) document(at documentCluster) *documentCluster {
	at.Images = k.Images
	if !k.Since.IsZero() {
		since := k.Since.UTC().Round(0)
		at.Since = &since
	}
	return &at
}

// document writes down everything that was seen. Equal observations give equal bytes.
func (r *run) document(seen []*looks, v *releasev1.Verification, verdict releasev1.CheckResult_Verdict, early string) []byte {
	d := document{
		Schema: MediaType, Verdict: word(verdict), Reason: v.GetReason(), EndedEarly: early, Notes: r.window.unusual(),
		Start: r.window.start.UTC(), Started: v.GetStarted().AsTime(), Ended: v.GetEnded().AsTime(),
		Bake: r.window.bake.String(), Interval: r.window.interval.String(), Checks: criteria(r.plan.Checks),
	}
	next := 0
	for _, l := range seen {
		t := l.subject.Target
		place := documentTarget{
			Target: t.ID(), BaseURL: t.BaseURL(), TCPAddress: t.TCPAddress(), DigestPath: t.DigestPath(), Config: t.Entry(),
			GRPCAddress: t.GRPCAddress(), TLSAddress: t.TLSAddress(), DNSServer: t.DNSServer(),
			ApprovedDigest: l.subject.Digest, Kubernetes: r.cluster(t),
			Queries: queries(r.plan.Checks, r.plan.Release.names(t.ID(), l.subject.Digest), r.placed),
		}
		all := append([][]Sample{slices.Concat(l.first, l.last)}, l.checks...)
		compared := append([]*Comparison{nil}, l.compared...)
		for i, samples := range all {
			result := v.GetResults()[next]
			next++
			place.Results = append(place.Results, documentResult{
				Check: result.GetCheck(), Verdict: word(result.GetVerdict()), Reason: result.GetReason(),
				Samples: append([]Sample{}, samples...), Comparison: compared[i],
			})
		}
		d.Targets = append(d.Targets, place)
	}
	// Without escapes for HTML, which would make some samples six times as long. These
	// types hold nothing that JSON cannot write, and a buffer takes everything.
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return fmt.Appendf(nil, "{%q:%q}", "error", err.Error())
	}
	return text.Bytes()
}
