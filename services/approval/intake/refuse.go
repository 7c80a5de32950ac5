package intake

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Bounds on what a refusal says, in bytes and in number. A small request can be
// wrong in very many places, and quotes of it are in the answer: without bounds the
// answer would be larger than the bus takes, and the request would never get one.
const (
	maxViolations = 64
	maxField      = 128
	maxMessage    = 300
	maxSubject    = 512
)

// bounded returns as many violations as fit into an answer, and how many there are
// beside them.
func bounded(all []*releasev1.Violation) []*releasev1.Violation {
	kept := all
	if len(all) > maxViolations {
		kept = append(all[:maxViolations-1:maxViolations-1], violation("", "violations.more",
			fmt.Sprintf("there are more violations than these %d", maxViolations-1)))
	}
	for _, v := range kept {
		v.Field, v.Message = shortened(v.GetField(), maxField), shortened(v.GetMessage(), maxMessage)
	}
	return kept
}

// shortened returns at most that many bytes of a text that anybody may have
// written, as valid UTF-8: what is not cannot be stored.
func shortened(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit-len("…")]
		return strings.ToValidUTF8(s, "") + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// refuse keeps a refused request, under a name that a repetition of the same
// message gives again.
func (i *Intake) refuse(ctx context.Context, active standing.Procedure, m Message, answer *releasev1.Answer) error {
	digest := bodyDigest(m.Body)
	aggregate := fmt.Sprintf("req.%d-%s", m.Sequence, digest[:16])
	_, err := i.store.Append(ctx, eventstore.Draft{
		Aggregate: aggregate,
		Event: &releasev1.Event{
			Actor:           &releasev1.Actor{Id: procedure.ServiceApproval, Kind: releasev1.Actor_KIND_SERVICE, Method: "service"},
			ProcedureDigest: active.Digest,
			Data: &releasev1.Event_RequestRefused{RequestRefused: &releasev1.RequestRefused{
				Subject: shortened(m.Subject, maxSubject), BodyDigest: "sha256:" + digest, Answer: answer, RequestSequence: m.Sequence,
			}},
		},
	})
	if errors.Is(err, eventstore.ErrSequenceConflict) {
		return nil // kept already
	}
	return err
}
