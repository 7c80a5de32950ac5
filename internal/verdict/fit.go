package verdict

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/envelope"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Bounds on the verdicts of a release, in bytes: all of them go into one event, and
// one that does not fit could never be stored. What words say is shared among the
// gates; whom the evidence names cannot be cut without somebody being forgotten.
const (
	maxVerdicts = envelope.MaxBody - 2<<10
	maxWhy      = 24 << 10
	maxRules    = 12 << 10
)

// Fit cuts the words of verdicts so that one event holds them. Where they name more
// authors, keys and evidence than it holds all the same, it returns bare refusals in
// their place and false: such a release is refused, by whatever lane it came, because
// nobody could tell later who must not decide about it. The event holds so many bytes
// besides.
func Fit(verdicts []*releasev1.GateVerdict, besides int) (fitting []*releasev1.GateVerdict, whole bool) {
	size := besides
	for _, v := range verdicts {
		v.Reason, v.Rule = cut(v.GetReason(), maxWhy/len(verdicts)), cut(v.GetRule(), maxRules/len(verdicts))
		size += proto.Size(v) + 4
	}
	if size <= maxVerdicts {
		return verdicts, true
	}
	bare := make([]*releasev1.GateVerdict, len(verdicts))
	for i, v := range verdicts {
		bare[i] = &releasev1.GateVerdict{
			Gate: v.GetGate(), Status: releasev1.GateVerdict_STATUS_FAILED, Rule: v.GetRule(),
			Reason: cut(fmt.Sprintf("the evidence of all gates names more than one event holds (%d of %d bytes); for this one, %d authors and %d envelopes",
				size, maxVerdicts, len(v.GetAuthors()), len(v.GetEvidence())), maxWhy/len(verdicts)),
		}
	}
	return bare, false
}

func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}
