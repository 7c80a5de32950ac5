package document

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// request is what was asked for, whole: the plan, the way back and the criteria, with what
// was chosen in place of it.
func (w *writer) request(r *Record) {
	q := r.state.Request
	w.section("Request")
	signer := "not signed"
	if r.RequestSigner != "" {
		signer = code(r.RequestSigner)
	}
	start := none
	if q.GetNotBefore() != nil {
		start = "not before " + at(q.GetNotBefore())
	}
	w.facts([][2]string{
		{"Requested", fmt.Sprintf("%s by %s", stamp(r.RequestedAt), escape(q.GetRequester()))},
		{"Trigger", word(q.GetTrigger(), "TRIGGER_")},
		{"Takes back", code(q.GetRollbackOf())},
		{"Change record", fmt.Sprintf("%s (%s)", escape(q.GetChangeRecord().GetId()), escape(q.GetChangeRecord().GetSystem()))},
		{"Owner", escape(q.GetOwner())},
		{"Authors", series(q.GetAuthors())},
		{"Incident", escape(q.GetEmergency().GetIncident())},
		{"Why it cannot wait", escape(q.GetEmergency().GetReason())},
		{"Start", start},
		{"Latest start", at(r.state.Requested.GetStartBy())},
		{"Idempotency key", code(q.GetIdempotencyKey())},
		{"Content", w.digest(r.RequestDigest, "content of the request")},
		{"Signature", signer},
		{"Proof that came with it", w.proof(r)},
	})
	w.plan(r)
	w.criteria(r)
}

func (w *writer) proof(r *Record) string {
	var all []string
	for _, e := range r.state.Requested.GetEvidence() {
		all = append(all, w.evidence(e, "proof for the gates: "+e.GetName()))
	}
	return strings.Join(all, ", ")
}

func (w *writer) plan(r *Record) {
	w.part("Plan")
	q := r.state.Request
	var artifacts, parameters []string
	for _, a := range q.GetArtifacts() {
		artifacts = append(artifacts, fmt.Sprintf("%s, %s %s, %s", escape(a.GetName()), word(a.GetKind(), "ARTIFACT_KIND_"),
			code(a.GetLocation()), w.digest(a.GetDigest(), "artifact "+a.GetName())))
	}
	waves := inWaves(q.GetPlan().GetWaves())
	if len(r.state.Chosen.GetWaves()) > 0 {
		waves += "; so the procedure chose, and asked for were " + inWaves(r.state.Asked().GetPlan().GetWaves())
	}
	for _, k := range slices.Sorted(maps.Keys(q.GetPlan().GetParameters())) {
		parameters = append(parameters, escape(k)+" = "+escape(q.GetPlan().GetParameters()[k]))
	}
	w.facts([][2]string{
		{"What is done", escape(q.GetPlan().GetDescription())},
		{"Artifacts", strings.Join(artifacts, "; ")},
		{"Waves", waves},
		{"Parameters", strings.Join(parameters, "; ")},
		{"Way back", fmt.Sprintf("%s: %s", word(q.GetRollbackPlan().GetStrategy(), "STRATEGY_"), escape(q.GetRollbackPlan().GetDescription()))},
		{"Where there is none", escape(q.GetRollbackPlan().GetRecovery())},
		{"Data", word(q.GetRisk().GetData(), "DATA_")},
		{"How data is changed back", escape(q.GetRisk().GetDataPlan())},
		{"Risk", escape(q.GetRisk().GetDescription())},
		{"Areas at risk", series(q.GetRisk().GetAreas())},
	})
}

func inWaves(all []*releasev1.Wave) string {
	var waves []string
	for i, wave := range all {
		waves = append(waves, fmt.Sprintf("wave %d: %s", i+1, series(wave.GetTargets())))
	}
	return strings.Join(waves, "; ")
}

// criteria are the checks that were asked for; those of the service's catalogue
// entry join them in step 6.
func (w *writer) criteria(r *Record) {
	w.part("Criteria")
	q := r.state.Request
	v := q.GetValidation()
	chosen := ""
	if asked := r.state.Asked().GetValidation().GetBake().AsDuration(); r.state.Chosen.GetBake() != nil {
		chosen = fmt.Sprintf(" The procedure chose that; %s were asked for, at least.", span(asked))
	}
	w.paragraph(fmt.Sprintf("Checks are made every %s over %s after each wave.%s",
		span(v.GetInterval().AsDuration()), span(v.GetBake().AsDuration()), chosen))
	var rows [][]string
	add := func(checks []*releasev1.Check, use string) {
		for _, c := range checks {
			rows = append(rows, []string{escape(c.GetName()), use, probe(c), limits(c)})
		}
	}
	add(v.GetChecks(), "validation")
	add(q.GetRollbackPlan().GetChecks(), "way back")
	w.table([]string{"Check", "Decides on", "Looks at", "Passes with"}, rows)
}

func probe(c *releasev1.Check) string {
	switch p := c.GetProbe().(type) {
	case *releasev1.Check_Http:
		status := p.Http.GetExpectStatus()
		if status == 0 {
			status = 200
		}
		out := fmt.Sprintf("HTTP %s answers %d", escape(p.Http.GetPath()), status)
		if body := p.Http.GetExpectBody(); body != "" {
			out += " with “" + escape(body) + "”"
		}
		for _, more := range criterion.Expects(c) {
			out += ", " + escape(more)
		}
		if p.Http.GetTimeout() != nil {
			out += " within " + span(p.Http.GetTimeout().AsDuration())
		}
		return out
	case *releasev1.Check_Tcp:
		if p.Tcp.GetTimeout() != nil {
			return "a TCP connection within " + span(p.Tcp.GetTimeout().AsDuration())
		}
		return "a TCP connection"
	case nil:
		return none
	}
	return escape(criterion.Words(c))
}

func limits(c *releasev1.Check) string {
	ratio, failures, samples := 1.0, uint32(3), uint32(2)
	if c.MinPassRatio != nil {
		ratio = c.GetMinPassRatio()
	}
	if c.MaxConsecutiveFailures != nil {
		failures = c.GetMaxConsecutiveFailures()
	}
	if c.MinSamples != nil {
		samples = c.GetMinSamples()
	}
	return fmt.Sprintf("%g %% of at least %s, and never %s in a row", ratio*100, count(int(samples), "sample"), count(int(failures), "failure"))
}
