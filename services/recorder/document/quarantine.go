package document

import (
	"fmt"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// putThere are the events that put an artifact into quarantine, and which.
func putThere(r *Record) (digests []string, sequences []uint64) {
	for _, e := range r.events {
		var digest string
		switch d := e.Entry.Event.GetData().(type) {
		case *releasev1.Event_RollbackClaimed:
			digest = d.RollbackClaimed.GetQuarantined()
		case *releasev1.Event_RollbackUnavailable:
			digest = d.RollbackUnavailable.GetQuarantined()
		case *releasev1.Event_TargetsReleased:
			digest = d.TargetsReleased.GetQuarantined()
		}
		if digest != "" {
			digests, sequences = append(digests, digest), append(sequences, e.Entry.Sequence)
		}
	}
	return digests, sequences
}

// Quarantined is the artifact that the release put into quarantine, "sha256:…"; empty
// for none.
func (r *Record) Quarantined() string {
	digests, _ := putThere(r)
	if len(digests) == 0 {
		return ""
	}
	return digests[0]
}

// Stands adds what that artifact stands at when the record is given out: who let it out
// is no part of the release's own history.
func (r *Record) Stands(at *recorderv1.QuarantinedArtifact) *Record {
	b := &builder{record: r}
	r.Quarantine, r.stands = b.message(at), at
	return r
}

// quarantine is what went there with this release, and what became of it.
func (w *writer) quarantine(r *Record) {
	digests, sequences := putThere(r)
	if len(digests) == 0 {
		return
	}
	w.part("Quarantine")
	for i, digest := range digests {
		w.paragraph(fmt.Sprintf("The artifact %s is released nowhere any more since event %d, whatever its name, service and target.",
			w.digest(digest, "artifact in quarantine"), sequences[i]))
	}
	if r.stands == nil {
		return
	}
	q := procedure.Quarantined{State: r.stands.GetState(), Held: r.stands.GetHeld()}
	text := "It stands there: "
	if !q.Held {
		text = "It was "
	}
	w.paragraph(sentence(text + escape(q.Sentence())))
	if c := q.State.GetClearance(); q.Held && c.GetProposedBy() != "" {
		w.paragraph(sentence(fmt.Sprintf("%s asked at %s for it to be let out: %s", escape(c.GetProposedBy()), at(c.GetProposed()), escape(c.GetReason()))))
	} else if !q.Held {
		w.paragraph(sentence(fmt.Sprintf("%s says: %s", escape(c.GetConfirmedBy()), escape(c.GetComment()))))
	}
}
