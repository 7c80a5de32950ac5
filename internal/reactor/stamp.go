package reactor

import (
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Stamp marks the draft of another aggregate, for instance that of a target's lock,
// as caused by what woke the step and decided under the release's procedure.
func (t Task) Stamp(d eventstore.Draft) eventstore.Draft {
	d.Event.CausationId = t.Cause.Event.GetId()
	d.Event.ProcedureDigest = t.State.ProcedureDigest
	if d.Event.GetActor() == nil {
		d.Event.Actor = itself(d.Event)
	}
	return d
}

// itself is the service as the one who decided: nobody told it to.
func itself(e *releasev1.Event) *releasev1.Actor {
	return &releasev1.Actor{
		Id: procedure.WriterOf(procedure.TypeOf(e)), Kind: releasev1.Actor_KIND_SERVICE, Method: "service",
	}
}
