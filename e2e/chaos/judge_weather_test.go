package chaos

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A start is early where nobody was told since the event before that nothing stands in its way.
func TestAStartThatNobodyAskedAboutIsEarly(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	entry := func(seconds int, data *releasev1.Event) procedure.Entry {
		return procedure.Entry{Sequence: uint64(seconds), Stored: at(seconds), Event: data} //nolint:gosec // A count of seconds.
	}
	claim := func(wave uint32) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_ExecutionClaimed{ExecutionClaimed: &releasev1.ExecutionClaimed{Wave: wave}}}
	}
	notified := &releasev1.Event{Data: &releasev1.Event_Notified{Notified: &releasev1.Notified{}}}
	cleared := &releasev1.Event{Data: &releasev1.Event_RiskCleared{RiskCleared: &releasev1.RiskCleared{}}}
	const change = "CHG-1"
	good := func(seconds int, change string) saying { return saying{at(seconds), change, true} }
	bad := func(seconds int, change string) saying { return saying{at(seconds), change, false} }
	tests := map[string]struct {
		said    []saying
		trigger releasev1.Trigger
		service string
		event   *releasev1.Event
		want    int
	}{
		"both were asked":             {[]saying{good(12, change), good(13, "")}, releasev1.Trigger_TRIGGER_PLANNED, "api", claim(0), 0},
		"nobody asked for alerts":     {[]saying{good(12, change)}, releasev1.Trigger_TRIGGER_PLANNED, "api", claim(0), 1},
		"nobody asked at all":         {nil, releasev1.Trigger_TRIGGER_PLANNED, "api", claim(0), 2},
		"an alert fired":              {[]saying{good(12, change), bad(13, "")}, releasev1.Trigger_TRIGGER_PLANNED, "shop", claim(0), 1},
		"and then did not":            {[]saying{good(12, change), bad(13, ""), good(14, "")}, releasev1.Trigger_TRIGGER_PLANNED, "shop", claim(0), 0},
		"asked too early":             {[]saying{good(9, change), good(13, "")}, releasev1.Trigger_TRIGGER_PLANNED, "api", claim(0), 1},
		"asked afterwards":            {[]saying{good(12, change), good(21, "")}, releasev1.Trigger_TRIGGER_PLANNED, "api", claim(0), 1},
		"another change record":       {[]saying{good(12, "CHG-2")}, releasev1.Trigger_TRIGGER_PLANNED, "web", claim(0), 1},
		"not about that service":      {[]saying{good(12, change)}, releasev1.Trigger_TRIGGER_PLANNED, "web", claim(0), 0},
		"an emergency goes around":    {nil, releasev1.Trigger_TRIGGER_EMERGENCY, "api", claim(0), 0},
		"a risk that is none":         {[]saying{bad(12, "")}, releasev1.Trigger_TRIGGER_PLANNED, "shop", cleared, 1},
		"which looks at alerts alone": {[]saying{good(12, "")}, releasev1.Trigger_TRIGGER_PLANNED, "shop", cleared, 0},
		"something else happened":     {nil, releasev1.Trigger_TRIGGER_PLANNED, "shop", notified, 0},
	}
	for name, test := range tests {
		b := &bench{
			states: map[string]procedure.State{"r": {Request: &releasev1.Request{
				Service: test.service, Trigger: test.trigger, ChangeRecord: &releasev1.ChangeRecord{Id: change},
			}}},
			counted: map[string][]procedure.Entry{"r": {entry(10, notified), entry(20, test.event)}},
			said:    test.said,
		}
		if test.event.GetExecutionClaimed() != nil {
			// What has begun is brought to its end.
			b.counted["r"] = append(b.counted["r"], entry(22, claim(0)))
		}
		b.Held = map[string]int{}
		if b.weather(); b.Early != test.want {
			t.Errorf("%s: early=%d, want %d: %q", name, b.Early, test.want, b.Notes)
		}
	}
}

// Every answer is written down before it is given.
func TestWhatTheSystemsAroundSayIsWrittenDown(t *testing.T) {
	dir := t.TempDir()
	w, err := newWeather(dir)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	w.handle(mux)
	ask := func(path string) (int, string) {
		out := httptest.NewRecorder()
		mux.ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return out.Code, out.Body.String()
	}
	const alerts, record = "/alertmanager/api/v2/alerts", "/itsm/changes/CHG-1"
	tests := []struct {
		what, path string
		code       int
		holds      string
		good       bool
	}{
		{"", alerts, http.StatusOK, "[]", true},
		{weatherAlert, alerts, http.StatusOK, `"severity":"page"`, false},
		{weatherMute, alerts, http.StatusBadGateway, "", false},
		{weatherWindow, alerts, http.StatusOK, "[]", true},
		{"", record, http.StatusOK, `"key":"CHG-1"`, true},
		{weatherWindow, record, http.StatusOK, "2126-", false},
		{weatherLost, record, http.StatusServiceUnavailable, "", false},
		{weatherAlert, record, http.StatusOK, `"state":"Implement"`, true},
	}
	for _, test := range tests {
		w.set(test.what, time.Date(2126, 3, 1, 12, 0, 0, 0, time.UTC))
		if code, body := ask(test.path); code != test.code || !strings.Contains(body, test.holds) {
			t.Errorf("%q, %s: %d %s", test.what, test.path, code, body)
		}
	}
	said, err := readWeather(dir)
	if err != nil || w.wrong() != nil || len(said) != len(tests) {
		t.Fatalf("%d answers are written down: %v, %v", len(said), err, w.wrong())
	}
	for i, test := range tests {
		if said[i].Good != test.good || (said[i].Change == "CHG-1") != (test.path == record) {
			t.Errorf("%q, %s: written down as %+v", test.what, test.path, said[i])
		}
	}
	if out := unheld(map[string]int{"alert.firing": 1, "alert.unknown": 1, "change_record.window": 2}); len(out) != 1 {
		t.Errorf("what held nothing: %q", out)
	}
}
