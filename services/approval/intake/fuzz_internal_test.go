package intake

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// FuzzDecode has messages of any type, in protobuf as well, and any signature: each is a
// request or late evidence, or has a fault that the bus takes as an answer, and nobody is
// taken for the signer of what they did not sign.
func FuzzDecode(f *testing.F) {
	good := proceduretest.Request()
	binary, err := proto.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	late, err := proto.Marshal(&releasev1.Evidence{IdempotencyKey: "k", Service: "shop", Environment: "production", Evidence: [][]byte{[]byte("{}")}})
	if err != nil {
		f.Fatal(err)
	}
	shaketest.Add(f, "", "", binary)
	shaketest.Add(f, "application/x-protobuf", "ci AAAA", late)
	shaketest.Add(f, "application/json; charset=utf-8", "ci", []byte(`{"idempotencyKey":"k"}`))
	shaketest.Add(f, ";", " ", []byte("{"))
	shaketest.Add(f, "text/plain", "nobody ====", []byte("\x0a\xff\xff\xff\xff\x0f"))
	index, now := policy.NewIndex(approvaltest.Document()), time.Unix(1_900_000_000, 0)
	f.Fuzz(func(t *testing.T, contentType, signature string, body []byte) {
		r, faults := decode(contentType, body)
		if r == nil && len(faults) == 0 {
			t.Fatal("neither a request nor a fault")
		}
		brought, others := decodeEvidence(contentType, body)
		if brought == nil {
			t.Fatal("no evidence and no fault")
		}
		if r != nil {
			faults = append(faults, malformed(r)...)
			for _, payload := range []string{RequestPayloadType, EvidencePayloadType} {
				by, bad := signer(index, r, payload, signature, body, now)
				if by != "" {
					t.Fatalf("signed by %s", by)
				}
				if bad != nil {
					faults = append(faults, bad)
				}
			}
		}
		if _, err := protojson.Marshal(&releasev1.Answer{Violations: bounded(append(faults, others...))}); err != nil {
			t.Fatal(err)
		}
	})
}
