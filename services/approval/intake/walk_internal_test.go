package intake

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// walked is JSON of which most has something wrong.
var walked = []string{
	`{}`, `[]`, `null`, `{"version":null,"plan":null}`, `{"version":"1","version":"2"}`, `{"rollback_plan":{},"rollbackPlan":{}}`,
	`{"validation":{"checks":[{"http":{},"tcp":{}},{"http":null,"tcp":{}},null,5]}}`,
	`{"plan":{"parameters":{"a":"x","a":"y","b":1,"\ud800":"z"},"waves":[{"targets":["eu1",1,null]},[]]}}`,
	`{"notBefore":"2030-01-01T00:00:00","validation":{"bake":"10","interval":"1s"},"trigger":"NOW","risk":{"data":7}}`,
	`{"evidence":["e30=","???",{}],"authors":"a","artifacts":[{"kind":"ARTIFACT_KIND_FILE"},{"digest":[]}]}`,
	`{"\u0076ersion":"1","[x.y]":1,"owner":"\ud800","service":1e9999}`, `{"validation":{"checks":[{"minSamples":1.0,"minPassRatio":"NaN"}]}}`,
	`{"version":"1"} x`, `{"version":01}`, "{\"a\":\"\x01\"}", strings.Repeat(`{"plan":`, 50), `{"a":` + strings.Repeat("[", 12000),
}

// FuzzWalk holds the walk to the library, which decides what a request is, and every
// body to an answer that the bus takes.
func FuzzWalk(f *testing.F) {
	good, err := protojson.Marshal(proceduretest.Request())
	if err != nil {
		f.Fatal(err)
	}
	shaketest.Add(f, good)
	for _, s := range walked {
		shaketest.Add(f, []byte(s))
	}
	index, now := policy.NewIndex(approvaltest.Document()), time.Unix(1_900_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) || len(body) > eventstore.MaxMessageSize {
			return // Refused before, by decode and by the bus.
		}
		whole, read := &releasev1.Request{}, &releasev1.Request{}
		refused := protojson.Unmarshal(body, whole)
		faults, broken := walk(body, read)
		if ok := broken == nil && len(faults) == 0; ok != (refused == nil) {
			t.Fatalf("the library says %v, the walk %v and %v", refused, broken, faults)
		}
		if refused == nil && !proto.Equal(whole, read) {
			t.Fatalf("read %v, want %v", read, whole)
		}
		r, faults := decode(mediaJSON, body)
		if r == nil && len(faults) == 0 {
			t.Fatal("neither a request nor a fault")
		}
		said := append(faults, beside(faults, append(append(malformed(r), place("request.production.shop", r)...), check(index, r, now)...))...)
		answer, err := protojson.Marshal(&releasev1.Answer{Violations: bounded(said)})
		if err != nil || len(answer) > eventstore.MaxMessageSize {
			t.Fatalf("an answer of %d bytes: %v", len(answer), err)
		}
	})
}

// TestTheWorkOnAFaultyBodyIsBounded walks the largest bodies with the most parts: what
// is kept of their faults has an end.
func TestTheWorkOnAFaultyBodyIsBounded(t *testing.T) {
	for name, body := range map[string]string{
		"elements": `{"artifacts":[` + strings.Repeat("{},", 20000) + `5]}`,
		"scalars":  `{"authors":[` + strings.Repeat("0,", 30000) + `0]}`,
		"unknown":  `{` + strings.Repeat(`"":0,`, 12000) + `"":0}`,
		"pairs":    `{"plan":{"parameters":{` + strings.Repeat(`"":0,`, 12000) + `"":0}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			faults, err := walk([]byte(body), &releasev1.Request{})
			if err != nil || len(faults) == 0 || len(faults) > maxViolations+1 {
				t.Errorf("%d faults, %v", len(faults), err)
			}
		})
	}
}

// TestRulesThatLookAtSeveralFieldsAreKnown pins the rules that would follow from a
// fault in one of the fields that they look at.
func TestRulesThatLookAtSeveralFieldsAreKnown(t *testing.T) {
	for rule, fields := range map[string]string{
		"emergency.required": "trigger emergency", "rollback_of.required": "trigger rollback_of", "recovery.required": "strategy recovery",
	} {
		if got := strings.Join(looksAt[rule], " "); got != fields {
			t.Errorf("%s looks at %q, want %q", rule, got, fields)
		}
	}
}
