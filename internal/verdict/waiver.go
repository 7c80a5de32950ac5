package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/attest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxWaiverReason bounds the words of a waiver that stand in a verdict, in bytes.
const maxWaiverReason = 512

// purpose is what a signature is to count for: a gate, or waivers of it. Whoever is
// trusted for the one is not for the other.
type purpose struct {
	gate   string
	waiver bool
}

// trusts reports whether a key or an identity of the document is trusted for it.
func (p purpose) trusts(signer interface {
	GetGates() []string
	GetWaives() []string
},
) bool {
	if p.waiver {
		return slices.Contains(signer.GetWaives(), p.gate)
	}
	return slices.Contains(signer.GetGates(), p.gate)
}

func (p purpose) String() string {
	if p.waiver {
		return "waivers of this gate"
	}
	return "this gate"
}

// waive looks for a waiver of the gate for an artifact (PD-1.2): the one that counts
// for longest. Where none counts it returns why, for each that is there.
func (j *judge) waive(artifact *releasev1.Artifact) (best *releasev1.Waiver, against []string) {
	for _, s := range j.statements {
		if s.unreadable || s.predicateType != attest.WaiverType || text(s.predicate["gate"]) != j.gate.GetName() {
			continue
		}
		signer, reason := "", "waives a gate that the procedure lets nobody waive"
		if j.gate.GetWaivable() != nil {
			signer, reason = j.vouched(s, artifact, purpose{gate: j.gate.GetName(), waiver: true})
		}
		var waiver *releasev1.Waiver
		if reason == "" {
			j.heard(s)
			waiver, reason = j.waiver(s)
		}
		if reason != "" {
			against = append(against, fmt.Sprintf("the waiver %.19s… %s", s.digest, reason))
			continue
		}
		waiver.Artifact, waiver.Evidence, waiver.SignedBy = artifact.GetName(), s.digest, signer
		if best == nil || waiver.GetExpires().AsTime().After(best.GetExpires().AsTime()) {
			best = waiver
		}
	}
	if best != nil {
		j.evidence, j.signers = append(j.evidence, best.GetEvidence()), append(j.signers, best.GetSignedBy())
	}
	if len(against) > maxReasons {
		against = append(against[:maxReasons], fmt.Sprintf("and %d more", len(against)-maxReasons))
	}
	return best, against
}

// waiver reads what a waiver says, or returns why it counts for nothing. Its owner is a
// person who may decide something, and who neither asked for the change nor wrote of it.
func (j *judge) waiver(s *statement) (*releasev1.Waiver, string) {
	owner := j.index.Person(text(s.predicate["owner"]))
	reason := strings.TrimSpace(text(s.predicate["reason"]))
	issued, errIssued := time.Parse(time.RFC3339, text(s.predicate["issued"]))
	expires, errExpires := time.Parse(time.RFC3339, text(s.predicate["expires"]))
	longest := j.gate.GetWaivable().GetMax().AsDuration()
	switch {
	case owner == nil || owner.GetInactive() || owner.GetMachine():
		return nil, fmt.Sprintf("has the owner %.64q, who is no person of the procedure that may decide something", text(s.predicate["owner"]))
	case owner.GetId() == j.request.GetRequester():
		return nil, fmt.Sprintf("has the owner %s, who is the requester", owner.GetId())
	case slices.Contains(j.wrote, owner.GetId()):
		return nil, fmt.Sprintf("has the owner %s, who is an author of the change", owner.GetId())
	case reason == "":
		return nil, "gives no reason"
	case errIssued != nil || errExpires != nil:
		return nil, "does not say when it was issued and when it expires"
	case issued.After(j.now.Add(skew)):
		return nil, fmt.Sprintf("is issued %s, which is in the future", issued.UTC().Format(time.RFC3339))
	case expires.Sub(issued) > longest:
		return nil, fmt.Sprintf("is for longer than %s", longest)
	case !j.now.Before(expires):
		return nil, fmt.Sprintf("expired %s", expires.UTC().Format(time.RFC3339))
	}
	environment, service, elsewhere := j.bound(s)
	if elsewhere != "" {
		return nil, elsewhere
	}
	return &releasev1.Waiver{
		Owner: owner.GetId(), Reason: cut(reason, maxWaiverReason), Expires: timestamppb.New(expires), Environment: environment, Service: service,
	}, ""
}

// bound reads for which environment a waiver was given and, where it says so, for which
// service, or returns why it does not count for this release: who answers for a gate in
// staging has not answered for it in production. A name that is there and is none binds to
// nothing that there is.
func (j *judge) bound(s *statement) (environment, service, elsewhere string) {
	if j.unbound {
		return "", "", ""
	}
	environment, service = text(s.predicate["environment"]), text(s.predicate["service"])
	_, named := s.predicate["service"]
	switch {
	case environment == "":
		return "", "", "does not say for which environment it was given (environment)"
	case environment != j.request.GetEnvironment():
		return "", "", fmt.Sprintf("was given for the environment %.64q, and this is %s", environment, j.request.GetEnvironment())
	case named && service != j.request.GetService():
		return "", "", fmt.Sprintf("was given for the service %.64q, and this is %s", service, j.request.GetService())
	}
	return environment, service, ""
}

// inWords says who let an artifact through, until when and why.
func inWords(w *releasev1.Waiver) string {
	return fmt.Sprintf("waived for %s by %s until %s: %s", w.GetArtifact(), w.GetOwner(), w.GetExpires().AsTime().Format(time.RFC3339), w.GetReason())
}
