package alerts_test

import (
	"testing"
	"unicode/utf8"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/shaketest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// FuzzParse has answers of any bytes: what is taken of them is bounded and text, and what
// of it decides can be written down and read again.
func FuzzParse(f *testing.F) {
	shaketest.Add(f, []byte(`[{"labels":{"alertname":"Errors"},"startsAt":"2026-01-01T00:00:00Z","status":{"state":"active"}}]`))
	shaketest.Add(f, []byte(`{"status":"success","data":{"alerts":[{"labels":{"a":"b"},"state":"firing","activeAt":"2026-01-01T00:00:00Z"}]}}`))
	shaketest.Add(f, []byte(`{"form":"shipwarden.alerts/v1","alerts":[{"labels":{"a":"b"},"starts":"2026-01-01T00:00:00Z"}]}`))
	shaketest.Add(f, []byte(`[{"labels":{"a":"b"},"startsAt":"9999-12-31T23:30:00-01:00","status":{"state":"active"}}]`))
	shaketest.Add(f, []byte(`{"status":"success","data":{"alerts":[{"labels":{"a":"b"},"state":"firing","activeAt":"0000-01-01T00:30:00+01:00"}]}}`))
	shaketest.Add(f, []byte(`null`))
	rule := &policyv1.AlertRule{Name: "any", Matchers: []*policyv1.LabelMatcher{{Label: "a", Value: &policyv1.LabelMatcher_Matches{Matches: ".*"}}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := alerts.Parse(body)
		if err != nil && found != nil {
			t.Errorf("%v, and %v", err, found)
		}
		for _, a := range found {
			for k, v := range a.Labels {
				if len(k) > 512 || len(v) > 512 || !utf8.ValidString(v) {
					t.Errorf("label %q is %q", k, v)
				}
			}
		}
		if matching, err := alerts.Matching(rule, &releasev1.Request{}, found); err != nil || len(matching) > len(found) {
			t.Errorf("%v, %v", matching, err)
		}
		deciding, err := alerts.Deciding([]*policyv1.AlertRule{rule}, &releasev1.Request{}, "", found)
		if err != nil {
			t.Fatal(err)
		}
		document, err := alerts.Document(deciding)
		if err != nil {
			t.Fatalf("%v cannot be written down: %v", deciding, err)
		}
		if again, err := alerts.Parse(document); err != nil || len(again) != len(deciding) {
			t.Errorf("%s is read as %v, %v", document, again, err)
		}
	})
}
