package changerecord_test

import (
	"errors"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/shaketest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// FuzzAgain has answers of any bytes: one that is none is said to be, and none lets a
// release start that does not say what the rule demands.
func FuzzAgain(f *testing.F) {
	const fields = `"fields":{"id":"/key","state":"/fields/status/name","service":"/c/0","window_start":"/a","window_end":"/b"}`
	shaketest.Add(f, []byte(`{"connector":"jira","asked":"CHG-1","status":200,`+fields+`,"answer":{"key":"CHG-1","fields":{"status":{"name":"Open"}},"a":"2026-01-01T00:00:00Z"}}`))
	shaketest.Add(f, []byte(`{"connector":"jira","asked":"CHG-1","status":404,`+fields+`,"answer":"not found"}`))
	shaketest.Add(f, []byte(`{"connector":"jira","asked":"CHG-1","status":200,"fields":{"id":"/~01/-1"},"answer":[{}]}`))
	rule := &policyv1.ChangeRecordRule{Name: "change", Connector: "jira", System: "jira", IdPattern: "CHG-[0-9]+", States: []string{"Open"}}
	request := &releasev1.Request{Service: "shop", ChangeRecord: &releasev1.ChangeRecord{System: "jira", Id: "CHG-1"}}
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, document []byte) {
		if document == nil {
			return
		}
		r, known, err := changerecord.Again(rule, request, document, at)
		switch {
		case err != nil:
			if known || !errors.Is(err, changerecord.ErrKept) {
				t.Fatalf("%v, %v", known, err)
			}
		case known && r.Why == "" && (r.Reading.GetId() != "CHG-1" || r.Reading.GetState() != "Open"):
			t.Errorf("it may start by %v", r.Reading)
		}
	})
}
