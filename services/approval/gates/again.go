package gates

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Past is an end of step 1 that is on record.
type Past struct {
	// Own is the document that the release ran under, and State what it was before.
	Own   *policy.Index
	State procedure.State
	// Event is what ended the step.
	Event *releasev1.Event
	// At is when it was judged.
	At time.Time
}

// Again judges an end of step 1 again, as of its moment and under a document that may be
// another one than the release's own: by the evidence that there was, by what registries
// had beside images, and by what the systems said that keep change records, as all of that
// was kept (N-18). It asks nobody and waits for nothing. Unknown names what the document
// would have looked at and nobody looked at then: of that, nothing is judged.
//
// Which statements counted is a matter of the time as well: those of in-toto v0.1 count for
// nothing only where by the release's own document they must have, as in a replay.
func Again(ctx context.Context, blobs Reader, index *policy.Index, past Past) (decided *releasev1.Event, unknown []string, err error) {
	decided, unknown, older, err := again(ctx, blobs, index, past, false)
	if err != nil || !older {
		return decided, unknown, err
	}
	own := decided
	if index != past.Own {
		if own, _, _, err = again(ctx, blobs, past.Own, past, false); err != nil {
			return nil, nil, err
		}
	}
	if asThen(own, past.Event) {
		return decided, unknown, nil
	}
	decided, unknown, _, err = again(ctx, blobs, index, past, true)
	return decided, unknown, err
}

// verdictsOf are those of an end of step 1.
func verdictsOf(e *releasev1.Event) []*releasev1.GateVerdict {
	return slices.Concat(e.GetGatesConfirmed().GetVerdicts(), e.GetGatesRefused().GetVerdicts())
}

// asThen reports whether every gate is judged as it was then, and hears no statement of in-toto
// v0.1 that it did not hear. A rule whose record nobody kept is not judged.
func asThen(again, then *releasev1.Event) bool {
	return !slices.ContainsFunc(verdictsOf(again), func(v *releasev1.GateVerdict) bool {
		return !slices.ContainsFunc(verdictsOf(then), func(o *releasev1.GateVerdict) bool {
			return o.GetGate() == v.GetGate() && o.GetStatus() == v.GetStatus() && slices.Equal(o.GetOlder(), v.GetOlder())
		})
	})
}

// again is Again, with statements of in-toto v0.1 counting for nothing or not; older says that
// there are some, and that the record may be of the time when they did not.
func again(ctx context.Context, blobs Reader, index *policy.Index, past Past, onlyV1 bool) (decided *releasev1.Event, unknown []string, older bool, err error) {
	s := &shell{blobs: blobs, roots: sigstore.NewShelf(blobs.Get)}
	trust, err := s.trust(ctx, index)
	if err != nil {
		return nil, nil, false, err
	}
	// By which rule waivers counted, by what evidence was dated, and which statements counted, is a matter of the time and not of the document.
	trust.Unbound = Unbound(past.Event)
	verdicts := verdictsOf(past.Event)
	trust.Stamped = verdict.Stamped(past.Own, verdicts)
	var without map[string]bool
	without, trust.Lost = Unread(past.Event)
	envelopes, err := all(ctx, blobs, slices.DeleteFunc(there(past.State), func(ref *releasev1.EvidenceRef) bool { return without[ref.GetDigest()] }))
	if err != nil {
		return nil, nil, false, err
	}
	var beside Beside
	switch {
	case !index.Document().GetReferrers():
	case past.Own.Document().GetReferrers():
		beside.Found = slices.Concat(past.Event.GetGatesConfirmed().GetFound(), past.Event.GetGatesRefused().GetFound())
		beside.Unseen = slices.Concat(past.Event.GetGatesConfirmed().GetUnseen(), past.Event.GetGatesRefused().GetUnseen())
		if n := len(beside.Found); n > 0 {
			beside.Found = slices.DeleteFunc(beside.Found, past.lacks)
			if len(beside.Found) < n {
				unknown = append(unknown, "what was found beside images and could not be kept")
			}
		}
		if beside.Statements, err = all(ctx, blobs, beside.Found); err != nil {
			return nil, nil, false, err
		}
	default:
		for _, a := range past.State.Request.GetArtifacts() {
			if len(looked(index, past.State.Request, a)) > 0 {
				unknown = append(unknown, "what is beside "+a.GetName())
			}
		}
	}
	for _, rule := range index.ChangeRecordsFor(past.State.Request) {
		var verdict *releasev1.GateVerdict
		if verdict, err = past.record(ctx, blobs, rule); err != nil {
			return nil, nil, false, err
		}
		if verdict == nil {
			unknown = append(unknown, rule.GetName())
			continue
		}
		beside.Records = append(beside.Records, verdict)
	}
	trust.OnlyV1 = onlyV1
	older = past.Event.GetGatesHeld() == nil && verdict.OnlyV1(verdicts, slices.Concat(envelopes, beside.Statements))
	return judge(trust, past.State, envelopes, beside, past.At, false), unknown, older, nil
}

// lacks reports whether the event says that evidence could not be kept.
func (p Past) lacks(ref *releasev1.EvidenceRef) bool {
	return slices.ContainsFunc(p.Event.GetUnkept(), func(u *releasev1.UnkeptEvidence) bool { return u.GetDigest() == ref.GetDigest() })
}

// record is the verdict on the change record by a rule, from the answer that its connector
// gave then; nil where none was kept that decides.
func (p Past) record(ctx context.Context, blobs Reader, rule *policyv1.ChangeRecordRule) (*releasev1.GateVerdict, error) {
	var document []byte
	var recorded *releasev1.GateVerdict
	for _, v := range verdictsOf(p.Event) {
		own := p.Own.ChangeRecordRule(v.GetGate())
		if own.GetConnector() != rule.GetConnector() {
			continue
		}
		if proto.Equal(own, rule) {
			recorded = v
		}
		if kept := v.GetEvidence(); len(kept) == 1 && document == nil && !p.lacks(&releasev1.EvidenceRef{Digest: kept[0]}) {
			var err error
			if document, err = blobs.Get(ctx, kept[0]); err != nil {
				return nil, fmt.Errorf("read the change record %s: %w", kept[0], err)
			}
		}
	}
	result, known, err := changerecord.Again(rule, p.State.Request, document, StartOf(p.State.Request, p.At))
	if err != nil || !known {
		return recorded, nil //nolint:nilerr // What was kept says nothing by this rule.
	}
	return Verdict(result), nil
}

// all reads evidence.
func all(ctx context.Context, blobs Reader, refs []*releasev1.EvidenceRef) ([][]byte, error) {
	var out [][]byte
	for _, ref := range refs {
		content, err := blobs.Get(ctx, ref.GetDigest())
		if err != nil {
			return nil, fmt.Errorf("read evidence %s: %w", ref.GetDigest(), err)
		}
		out = append(out, content)
	}
	return out, nil
}
