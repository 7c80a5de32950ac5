package replay

// Result is what came of replaying one event.
type Result string

// The results.
const (
	Derived Result = "derived"
	Partly  Result = "derived in part"
	Taken   Result = "taken"
	Differs Result = "differs"
)

// Decision is one event of the release, replayed.
type Decision struct {
	// Sequence is the event's place in the stream, Type its type.
	Sequence uint64 `json:"sequence"`
	Type     string `json:"type"`
	Result   Result `json:"result"`
	// Detail says what was derived; of what differs, what does and where.
	Detail string `json:"detail,omitempty"`
	// Taken names what was taken from the record as it is.
	Taken []string `json:"taken,omitempty"`
}

// Report is what came of replaying a release.
type Report struct {
	Release string `json:"release"`
	// AsOfSequence is the last event of the release that there was.
	AsOfSequence uint64 `json:"as_of_sequence"`
	// Decisions are its events, in their order; those that do not count are there only
	// where the record says something else of them.
	Decisions []Decision `json:"decisions"`
	// Uncounted is how many messages do not count, as the record says as well.
	Uncounted int `json:"uncounted"`
	// Inputs is how many pieces of evidence, documents among them, were read by digest.
	Inputs int `json:"inputs"`
}

// Count returns how many events came to that result.
func (r Report) Count(result Result) int {
	n := 0
	for _, d := range r.Decisions {
		if d.Result == result {
			n++
		}
	}
	return n
}

// OK reports whether nothing differs.
func (r Report) OK() bool { return len(r.Decisions) > 0 && r.Count(Differs) == 0 }
