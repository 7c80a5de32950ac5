package alerts_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/alerts"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func rule(name, source string, matchers ...*policyv1.LabelMatcher) *policyv1.AlertRule {
	return &policyv1.AlertRule{Name: name, Source: source, Reason: "look after it", Matchers: matchers}
}

func is(label, value string) *policyv1.LabelMatcher {
	return &policyv1.LabelMatcher{Label: label, Value: &policyv1.LabelMatcher_Is{Is: value}}
}

// TestWhatSaysTheSameIsKeptOnce looks three times while everything changes that decides
// nothing: the order, other alerts, and labels that no rule names.
func TestWhatSaysTheSameIsKeptOnce(t *testing.T) {
	request := &releasev1.Request{Service: "shop", Environment: "production"}
	rules := []*policyv1.AlertRule{
		rule("burning", "one", is("service", "{service}"), is("severity", "critical")), rule("budget", "one", is("alertname", "Budget")),
		rule("elsewhere", "two", is("service", "billing")),
	}
	rules[1].Environments = []string{"production"}
	at := time.Date(2026, 11, 28, 9, 0, 0, 123, time.FixedZone("", 3600))
	alert := func(pod string, more ...string) alerts.Alert {
		a := alerts.Alert{Labels: map[string]string{"alertname": "ErrorRate", "service": "shop", "severity": "critical", "pod": pod}, Starts: at}
		for i := 0; i+1 < len(more); i += 2 {
			a.Labels[more[i]] = more[i+1]
		}
		return a
	}
	budget := alerts.Alert{Labels: map[string]string{"alertname": "Budget", "shipwarden_release": "shop-1"}, Starts: at.Add(-time.Hour)}
	other := alerts.Alert{Labels: map[string]string{"alertname": "Disk", "service": "billing", "severity": "critical"}, Starts: at}
	var first []byte
	for i, all := range [][]alerts.Alert{
		{alert("a"), alert("b"), budget},
		{other, budget, alert("c", "replica", "2"), alert("d")},
		{alert("e"), other, other, alert("f"), budget},
	} {
		deciding, err := alerts.Deciding(rules, request, "one", all)
		if err != nil {
			t.Fatal(err)
		}
		document, err := alerts.Document(deciding)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = document
		}
		if !bytes.Equal(document, first) {
			t.Errorf("look %d is kept as\n%s\nand was\n%s", i, document, first)
		}
		back, err := alerts.Parse(document)
		if err != nil || len(back) != 3 || back[0].Name() != "Budget" {
			t.Fatalf("read again: %v, %v", back, err)
		}
		// What is read again is judged as what was said.
		for _, r := range rules[:2] {
			one, err := alerts.Matching(r, request, all)
			again, err2 := alerts.Matching(r, request, back)
			if err != nil || err2 != nil || !slices.EqualFunc(one, again, func(a, b alerts.Alert) bool { return a.Name() == b.Name() && a.Starts.Equal(b.Starts) }) {
				t.Errorf("rule %s: %v, and by what is kept %v", r.GetName(), one, again)
			}
		}
	}
	// Where nothing decides, there is one document for all releases, sources and times.
	none, err := alerts.Deciding(rules, request, "two", []alerts.Alert{alert("a")})
	if err != nil {
		t.Fatal(err)
	}
	if document, _ := alerts.Document(none); string(document) != `{"form":"shipwarden.alerts/v1","alerts":[]}` {
		t.Errorf("nothing is kept as %s", document)
	}
}

// TestWhatIsKeptIsReadInEveryForm it ever had, and in no other.
func TestWhatIsKeptIsReadInEveryForm(t *testing.T) {
	for body, want := range map[string][]string{
		prometheusAnswer:   {"ErrorRate", "Disk"},
		alertmanagerAnswer: {"ErrorRate"},
		`{"form":"shipwarden.alerts/v1","alerts":[{"labels":{"alertname":"A"},"starts":"2026-11-28T09:00:00Z"}]}`: {"A"},
	} {
		all, err := alerts.Parse([]byte(body))
		var got []string
		for _, a := range all {
			got = append(got, a.Name())
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	for _, body := range []string{
		``, `{}`, `{"form":"shipwarden.alerts/v2","alerts":[]}`, `{"form":"shipwarden.alerts/v1"}`, `{"form":"shipwarden.alerts/v1","alerts":null}`,
		`{"form":"shipwarden.alerts/v1","alerts":[],"status":"success"}`, `{"form":"shipwarden.alerts/v1","alerts":[]} {}`,
	} {
		if all, err := alerts.Parse([]byte(body)); err == nil {
			t.Errorf("%s is read as %v", body, all)
		}
	}
}
