package verdict

import (
	"encoding/base64"
	"slices"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/strictjson"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// OnlyV1 reports whether verdicts are of the time when statements of in-toto v0.1 counted for
// nothing: there is such a one among the envelopes, and no verdict names any. It is the record
// that decides, and not what would suit: every verdict of today names those that somebody said
// who is trusted (GateVerdict.older), and of the others it makes no difference.
func OnlyV1(verdicts []*releasev1.GateVerdict, envelopes [][]byte) bool {
	return slices.ContainsFunc(envelopes, isOlder) &&
		!slices.ContainsFunc(verdicts, func(v *releasev1.GateVerdict) bool { return len(v.GetOlder()) > 0 })
}

// isOlder reports whether an envelope, or a bundle with one, says that it holds a statement of
// in-toto v0.1. Nothing of it is verified.
func isOlder(envelope []byte) bool {
	object, err := strictjson.Object(envelope)
	if err != nil {
		return false
	}
	if sigstore.IsBundle(text(object["mediaType"])) {
		object, _ = object["dsseEnvelope"].(map[string]any)
	}
	payload, err := base64.StdEncoding.DecodeString(text(object["payload"]))
	if err != nil {
		return false
	}
	statement, err := strictjson.Object(payload)
	return err == nil && text(statement["_type"]) == attest.StatementTypeV01
}
