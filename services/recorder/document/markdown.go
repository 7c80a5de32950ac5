package document

import "fmt"

// Markdown is the record for reading: a document for an auditor and for whoever is
// answerable for the release, in the order of the procedure (PD-8.1). Sections of
// steps that were not reached are left out; issues and follow-ups are there always.
func (r *Record) Markdown() []byte {
	w := &writer{digests: digests{of: map[string]int{}, short: map[string]string{}}}
	if r.state.Request == nil {
		w.line("# Deployment record of %s", code(r.Release))
		w.paragraph("Nothing that counts is on record of this release.")
	} else {
		w.known(r)
		w.line("# Deployment record: %s %s to %s", escape(r.Service), escape(r.Version), escape(r.Environment))
		w.summary(r)
		w.overview(r)
		w.request(r)
		w.gates(r)
		w.scope(r)
		w.risk(r)
		w.authorization(r)
		w.notices(r)
		w.execution(r)
		w.verification(r)
		w.remediation(r)
		w.incident(r)
		w.closing(r)
		w.laterLooks(r)
	}
	w.timeline(r)
	w.rejected(r)
	w.appendix()
	return w.Bytes()
}

// known gives the digests that matter most their names, and the first places in the
// appendix, wherever they are met first.
func (w *writer) known(r *Record) {
	if r.Outcome != nil && r.Outcome.RecordDigest != "" {
		w.digest(r.Outcome.RecordDigest, fmt.Sprintf("record in JSON, as of event %d", r.Outcome.RecordAsOf))
	}
	w.digest(r.ChangeDigest, "change: everything that runs, as it was approved")
	w.digest(r.RequestDigest, "content of the request")
	w.digest(r.ProcedureDigest, "procedure document")
	for _, a := range r.state.Artifacts {
		w.artifact(a)
	}
	for _, t := range r.state.Targets {
		w.deployment(t.GetState().GetDeployed())
	}
}
