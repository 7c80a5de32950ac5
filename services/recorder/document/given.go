package document

import (
	"time"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// Planned says what was planned and what became of it. Times that are absent were not
// planned, or never came.
type Planned struct {
	// NotBefore and StartBy are the times between which it was to be started, StartedAt
	// is the first claim of a target.
	NotBefore *time.Time `json:"not_before,omitempty"`
	StartBy   *time.Time `json:"start_by,omitempty"`
	StartedAt *time.Time `json:"started_at,omitempty"`
	// ApproveBy is when the approvals had to be there, AuthorizedAt when they were, and
	// ValidUntil how long they allowed the start.
	ApproveBy    *time.Time `json:"approve_by,omitempty"`
	AuthorizedAt *time.Time `json:"authorized_at,omitempty"`
	ValidUntil   *time.Time `json:"valid_until,omitempty"`
	// Waves is how many were planned; the others how many were deployed, and how many
	// of those passed validation.
	Waves     int `json:"waves"`
	Deployed  int `json:"waves_deployed"`
	Validated int `json:"waves_validated"`
	// Bake is how long validation was to take, BakeActual how long it took, in
	// milliseconds.
	Bake       int64 `json:"bake_ms"`
	BakeActual int64 `json:"bake_actual_ms"`
}

// Signature is what anybody needs who verifies an approval with nothing but the public
// key: the bytes that are stored and the signature over them.
type Signature struct {
	Sequence uint64 `json:"sequence"`
	SignedBy string `json:"signed_by"`
	// PayloadType is signed together with the body, as DSSE has it.
	PayloadType string `json:"payload_type"`
	Body        []byte `json:"body"`
	Signature   []byte `json:"signature"`
}

// Given makes it the record as it is given out, and returns it: with what is good to
// know and no part of what is digested. The version of the procedure document, which
// may be empty, and the releases that take this one back are not among what the
// release's own events tell.
func (r *Record) Given(procedureVersion string, back ...*recorderv1.WayBack) *Record {
	b := &builder{record: r}
	r.AsOf, r.ProcedureVersion, r.back = r.stored, procedureVersion, back
	r.Planned, r.Waits, r.Closer = r.planned(), r.waits(), r.closer()
	if i := view.IncidentOf(r.Release, r.events); i != nil {
		r.Incident = b.message(i)
	}
	r.FollowUpActions, r.TakenBackBy = messages(b, view.FollowUps(r.state)), messages(b, back)
	r.Rollbacks = messages(b, view.Rollbacks(r.state))
	r.Signatures = []Signature{}
	for _, e := range r.events {
		if len(e.Signature) > 0 {
			r.Signatures = append(r.Signatures, Signature{
				Sequence: e.Entry.Sequence, SignedBy: e.SignedBy, PayloadType: envelope.PayloadType, Body: e.Body, Signature: e.Signature,
			})
		}
	}
	return r
}

// planned compares what was planned with what the events tell.
func (r *Record) planned() *Planned {
	s := r.state
	deployed, validated := map[uint32]bool{}, map[uint32]bool{}
	for _, e := range r.events {
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_ExecutionFinished:
			deployed[d.ExecutionFinished.GetWave()] = true
		case *releasev1.Event_VerificationPassed:
			if v := d.VerificationPassed.GetVerification(); !v.GetRollback() {
				validated[v.GetWave()] = true
			}
		}
	}
	p := &Planned{
		StartedAt: moment(r.begun("execution_claimed")), ApproveBy: moment(s.ApproveBy), AuthorizedAt: moment(r.begun("authorized")),
		Waves: len(s.Request.GetPlan().GetWaves()), Deployed: len(deployed), Validated: len(validated),
		Bake: r.Timings.PlannedBake, BakeActual: r.Timings.Bake,
	}
	if t := s.Request.GetNotBefore(); t != nil {
		p.NotBefore = moment(t.AsTime())
	}
	if t := s.Requested.GetStartBy(); t != nil {
		p.StartBy = moment(t.AsTime())
	}
	for _, e := range from[*releasev1.Event_Authorized](r) {
		if t := e.data.Authorized.GetValidUntil(); t != nil {
			p.ValidUntil = moment(t.AsTime())
		}
	}
	return p
}

// begun is when the first event of that type was stored; zero for never.
func (r *Record) begun(kind string) time.Time {
	for _, e := range r.events {
		if procedure.TypeOf(e.Entry.Event) == kind {
			return e.Entry.Stored
		}
	}
	return time.Time{}
}

// moment is a time that JSON can say; nil for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = sane(t)
	return &t
}
