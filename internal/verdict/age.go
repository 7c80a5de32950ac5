package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// skew is how far in the future a statement may be dated, for clocks differ.
const skew = 5 * time.Minute

// timestamp is the field by which a predicate dates itself whose type has no other.
const timestamp = "timestamp"

// times are the fields by which predicates of common types say when what they tell of was
// so, as the specifications of in-toto and SLSA name them: the end of a scan, and the
// moment of a verification. All are RFC 3339.
var times = map[string]string{
	"https://in-toto.io/attestation/vulns/v0.1": "metadata.scanFinishedOn",
	"https://in-toto.io/attestation/vulns/v0.2": "metadata.scanFinishedOn",
	"https://in-toto.io/attestation/svr/v0.1":   "timeCreated",
	"https://slsa.dev/verification_summary/v1":  "timeVerified",
}

// dated is the field by which statements for a gate are dated. Stamped is by which they
// were before types had their own.
func dated(gate *policyv1.Gate, stamped bool) string {
	if own := times[gate.GetPredicateType()]; own != "" && !stamped {
		return own
	}
	return timestamp
}

// age checks that the statement is not too old (PD-1.2), by the field that its type has for
// that and by no other: what else it may hold of that name is nobody's promise.
func (s *statement) age(gate *policyv1.Gate, stamped bool, now time.Time) string {
	if gate.GetMaxAge() == nil {
		return ""
	}
	limit, field := gate.GetMaxAge().AsDuration(), dated(gate, stamped)
	made, err := time.Parse(time.RFC3339, text(s.value(field)))
	switch {
	case err != nil:
		return "has no " + field + ", without which its age is not known"
	case made.After(now.Add(skew)):
		return fmt.Sprintf("is dated %s, which is in the future", made.UTC().Format(time.RFC3339))
	case now.Sub(made) > limit:
		return fmt.Sprintf("is of %s and older than %s", made.UTC().Format(time.RFC3339), limit)
	}
	return ""
}

// maxAge says in words how old a gate lets statements be. Where they are dated by a field of
// their type it names the field, so that a verdict tells by what it was judged (Stamped).
func maxAge(gate *policyv1.Gate, stamped bool) string {
	if gate.GetMaxAge() == nil {
		return ""
	}
	rule := ", not older than " + gate.GetMaxAge().AsDuration().String()
	if field := dated(gate, stamped); field != timestamp {
		rule += " by " + field
	}
	return rule
}

// Stamped reports whether verdicts are of the time when statements of every type were dated
// by their field "timestamp" alone: a gate is among them that dates by another today, and
// its rule, as it is on record, does not name that. It is the record that decides, and not
// what would suit: what was refused or let through then follows from the rule of then, at a
// replay and at the start of the release, and what is judged today can never be by it, for
// every verdict of today names its field.
func Stamped(index *policy.Index, verdicts []*releasev1.GateVerdict) bool {
	return slices.ContainsFunc(verdicts, func(v *releasev1.GateVerdict) bool {
		gate := index.Gate(v.GetGate())
		today, then := rule(gate, false), rule(gate, true)
		if today == then {
			return false
		}
		if short, cut := strings.CutSuffix(v.GetRule(), "…"); cut { // by Fit
			return strings.HasPrefix(then, short) && !strings.HasPrefix(today, short)
		}
		return v.GetRule() == then
	})
}
