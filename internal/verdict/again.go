package verdict

import (
	"errors"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Margin is how far the server's clock, by which the record judges, may go on until a claim
// is stored: at a start, what is over within that time is as good as over.
const Margin = 5 * time.Second

// At is the time by which evidence is judged again at a start or before a wave, from the time
// by which the executor acts. How old it may be, and whether a key is in its time, is a
// matter of the start: what has begun in time is not stopped half way by the clock.
func At(state procedure.State, now time.Time) time.Time {
	if len(state.Begun) > 0 {
		return state.Began
	}
	return now.Add(Margin)
}

// Words of what is found of evidence at a start: it satisfies its gate no longer, or nobody can
// tell whether it would, because it cannot be read any more.
const (
	RuleOutdated = "evidence.outdated"
	RuleUnknown  = "evidence.unknown"
)

// Pieces are the evidence that a start is judged by: what step 1 had, without what could not
// be kept then. Who judges it again reads the same.
func Pieces(state procedure.State) []*releasev1.EvidenceRef {
	return slices.DeleteFunc(slices.Concat(state.Evidence(), state.Confirmed.GetFound()), func(ref *releasev1.EvidenceRef) bool {
		return state.UnkeptReason(ref.GetDigest()) != ""
	})
}

// Trusts are what evidence is judged by at a start: the release's own document, and the signers
// of the one in effect, which is nil where that is the same. Root gives the trusted root that
// one of them names; its errors are returned.
func Trusts(own, active *policy.Index, root func(digest string) (*sigstore.Root, error)) ([]Trust, error) {
	var trusts []Trust
	for _, signers := range []*policy.Index{own, active} {
		if signers == nil {
			continue
		}
		trust := Trust{Index: own, Signers: signers}
		if digest := signers.Document().GetSigstore().GetTrustedRoot(); digest != "" {
			var err error
			if trust.Root, err = root(digest); err != nil {
				return nil, err
			}
		}
		trusts = append(trusts, trust)
	}
	return trusts, nil
}

// Again judges the gates of a release again that step 1 let pass, at a later time (PD-1.2,
// PD-1.3): evidence ages, keys come to their end, and since then somebody may have revoked
// a signer. It does not believe step 1, but looks itself. The first trust is that of the
// release's own document; the second, where there is one, has the signers of the document in
// effect, which may trust fewer. Envelopes are those that step 1 had, in any order, what was
// found beside artifacts among them. They are of the request as it was asked for, whatever step
// 3 chose in place of it.
//
// Fallen are the verdicts on gates that are not satisfied any more, one for each, in the
// order of the document; around are those on gates that an emergency goes around instead and
// that are not on record as that yet. Like Evaluate it depends on nothing but its arguments,
// and is what a replay calls, too (N-01).
func Again(state procedure.State, envelopes [][]byte, at time.Time, trusts ...Trust) (fallen, around []*releasev1.GateVerdict) {
	var documents []*policy.Index
	for _, trust := range trusts {
		documents = append(documents, trust.signers())
	}
	for _, trust := range trusts {
		// A release that step 1 let pass by the rules of then goes by them to its end.
		trust.Stamped, trust.OnlyV1 = Stamped(trust.Index, state.Gates), OnlyV1(state.Gates, envelopes)
		trust.Unseen = map[string]string{}
		for _, u := range state.Confirmed.GetUnseen() {
			trust.Unseen[u.GetArtifact()] = u.GetReason()
		}
		for _, v := range Evaluate(trust, trust.Index.GatesFor(state.Asked()), state.Asked(), envelopes, at) {
			said := func(f *releasev1.GateVerdict) bool { return f.GetGate() == v.GetGate() }
			if v.GetStatus() != releasev1.GateVerdict_STATUS_FAILED || settled(state, trust, v.GetGate(), at) || slices.ContainsFunc(fallen, said) {
				continue
			}
			switch {
			case !Bypassable(state, v.GetGate(), documents...):
				fallen = append(fallen, v)
			case !slices.Contains(state.Bypassed, procedure.GateBypass(v.GetGate())) && !slices.ContainsFunc(around, said):
				around = append(around, v)
			}
		}
	}
	return fallen, around
}

// settled reports whether there is nothing to be judged again of a gate: an emergency went
// around it, and may, by its own document; a waiver of it is over, or names no environment,
// which is judged by itself; what satisfied it could not be kept, which is on record; or the
// document in effect has no such gate, whose signers are therefore nobody.
func settled(state procedure.State, trust Trust, gate string, at time.Time) bool {
	if trust.signers().Gate(gate) == nil {
		return true
	}
	if slices.ContainsFunc(slices.Concat(state.LapsedGates(at), state.UnboundGates()), func(g procedure.LapsedGate) bool { return g.Gate == gate }) {
		return true
	}
	i := slices.IndexFunc(state.Gates, func(v *releasev1.GateVerdict) bool { return v.GetGate() == gate })
	if i < 0 {
		return false
	}
	if state.Gates[i].GetStatus() == releasev1.GateVerdict_STATUS_BYPASSED {
		return Bypassable(state, gate, trust.Index)
	}
	return state.Urgent() && slices.ContainsFunc(state.Gates[i].GetEvidence(), func(digest string) bool { return state.UnkeptReason(digest) != "" })
}

// Bypassable reports whether the release is an emergency that may go around the gate: by the
// first document, which is its own, and by each of the others that has such a gate (PD-A.5).
func Bypassable(state procedure.State, gate string, documents ...*policy.Index) bool {
	if !state.Emergency() || !documents[0].Gate(gate).GetBypassable() {
		return false
	}
	return !slices.ContainsFunc(documents, func(x *policy.Index) bool {
		g := x.Gate(gate)
		return g != nil && !g.GetBypassable()
	})
}

// Unread says in words for the record why a piece of evidence, or a trusted root, could not be
// read, without what a client of the bus says of addresses and subjects.
func Unread(err error) string {
	if errors.Is(err, sigstore.ErrRoot) {
		return sigstore.ErrRoot.Error()
	}
	return evidence.Unread(err)
}
