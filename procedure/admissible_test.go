package procedure_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAdmissible spoils an event that would count in every way in which any event
// can be spoiled, whatever it says.
func TestAdmissible(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseScope)
	for name, c := range map[string]struct {
		spoil func(e *procedure.Entry)
		want  error
	}{
		"as it is":                 {func(*procedure.Entry) {}, nil},
		"no event":                 {func(e *procedure.Entry) { e.Event = nil }, procedure.ErrMalformed},
		"no id":                    {func(e *procedure.Entry) { e.Event.Id = "" }, procedure.ErrMalformed},
		"no time":                  {func(e *procedure.Entry) { e.Event.Time = nil }, procedure.ErrMalformed},
		"no sequence":              {func(e *procedure.Entry) { e.Sequence = 0 }, procedure.ErrMalformed},
		"never stored":             {func(e *procedure.Entry) { e.Stored = time.Time{} }, procedure.ErrMalformed},
		"no data":                  {func(e *procedure.Entry) { e.Event.Data = nil }, procedure.ErrMalformed},
		"another aggregate":        {func(e *procedure.Entry) { e.Event.Aggregate = "tgt.eu1" }, procedure.ErrForeign},
		"another writer":           {func(e *procedure.Entry) { e.Event.Writer = "recorder" }, procedure.ErrWriter},
		"no writer":                {func(e *procedure.Entry) { e.Event.Writer = "" }, procedure.ErrWriter},
		"no previous event":        {func(e *procedure.Entry) { e.Event.Previous = nil }, procedure.ErrNotHead},
		"an earlier event":         {func(e *procedure.Entry) { e.Event.Previous.Sequence-- }, procedure.ErrNotHead},
		"other bytes before it":    {func(e *procedure.Entry) { e.Event.Previous.Sha256[0]++ }, procedure.ErrNotHead},
		"no bytes before it":       {func(e *procedure.Entry) { e.Event.Previous.Sha256 = nil }, procedure.ErrNotHead},
		"the sequence of the head": {func(e *procedure.Entry) { e.Sequence = h.Last }, procedure.ErrNotHead},
		"from the future":          {func(e *procedure.Entry) { e.Event.Time = timestamppb.New(h.Now.Add(time.Minute)) }, procedure.ErrClockSkew},
		"from long ago":            {func(e *procedure.Entry) { e.Event.Time = timestamppb.New(h.Now.Add(-time.Hour)) }, procedure.ErrClockSkew},
		"another procedure":        {func(e *procedure.Entry) { e.Event.ProcedureDigest = proceduretest.Digest('0') }, procedure.ErrProcedure},
		"no procedure":             {func(e *procedure.Entry) { e.Event.ProcedureDigest = "" }, procedure.ErrProcedure},
		"not of a release": {func(e *procedure.Entry) {
			e.Event.Writer = procedure.ServiceExecutor
			e.Event.Data = &releasev1.Event_TargetLocked{TargetLocked: &releasev1.TargetLocked{Release: h.Release}}
		}, procedure.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			e := h.Next(nil, proceduretest.Scope(h.State()))
			e.Event = proto.CloneOf(e.Event)
			c.spoil(&e)
			if _, err := procedure.Evolve(h.State(), e); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestFirstEventFollowsNothing refuses a beginning that names something before it.
func TestFirstEventFollowsNothing(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	e := h.Next(nil, proceduretest.Requested(h.Asked, h.Now))
	e.Event.Previous = &releasev1.Previous{Sequence: 7}
	if _, err := procedure.Evolve(h.State(), e); !errors.Is(err, procedure.ErrNotHead) {
		t.Errorf("got %v, want %v", err, procedure.ErrNotHead)
	}
}

// TestEmptyCasesDoNotPanic folds an event of every type that says nothing in every
// phase, and one whose case is there without a message.
func TestEmptyCasesDoNotPanic(t *testing.T) {
	fields := (&releasev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("data").Fields()
	for _, phase := range procedure.Phases() {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, phase)
		for i := range fields.Len() {
			e := &releasev1.Event{}
			e.ProtoReflect().Set(fields.Get(i), e.ProtoReflect().NewField(fields.Get(i)))
			if _, err := procedure.Evolve(h.State(), h.Next(proceduretest.Person("dan"), e)); err == nil && !mayBeEmpty[string(fields.Get(i).Name())] {
				t.Errorf("%s says nothing and counts in phase %s", fields.Get(i).Name(), phase)
			}
		}
		for _, e := range []*releasev1.Event{
			{Data: &releasev1.Event_Requested{}},
			{Data: &releasev1.Event_ExecutionClaimed{}},
			{Data: &releasev1.Event_VerificationPassed{}},
			{Data: (*releasev1.Event_Requested)(nil)},
			{Data: (*releasev1.Event_ExecutionClaimed)(nil)},
		} {
			if e.ProtoReflect().IsValid() {
				entry := h.Next(nil, proceduretest.Reject())
				entry.Event.Data = e.GetData()
				entry.Event.Writer = procedure.WriterOf(procedure.TypeOf(e))
				if _, err := procedure.Evolve(h.State(), entry); err == nil {
					t.Errorf("%T without a message counts in phase %s", e.GetData(), phase)
				}
			}
		}
	}
}

// mayBeEmpty are the events that say what they have to say by being there. An end
// needs no more than that, and neither does going on with nothing required.
var mayBeEmpty = map[string]bool{
	"gates_confirmed": true, "gates_refused": true, "scope_refused": true, "preview_refused": true, "risk_refused": true,
	"aborted": true, "withdrawn": true, "rejected": true,
}
