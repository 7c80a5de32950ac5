package changerecord_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var now = time.Date(2026, 11, 28, 20, 30, 0, 0, time.UTC)

// The example configurations read what ServiceNow and Jira answer, and judge it.
func TestTheExamplesReadServiceNowAndJira(t *testing.T) {
	for _, system := range []struct {
		name, id, pattern string
		start             func(testing.TB) *changerecordtest.System
		states            []string
	}{
		{"servicenow", "CHG0030001", "CHG[0-9]{7}", changerecordtest.ServiceNow, []string{"-2", "-1"}},
		{"jira", "CHG-1042", "CHG-[0-9]+", changerecordtest.Jira, []string{"Scheduled", "Implementing"}},
	} {
		s := system.start(t)
		cfg := s.Connector(t, "../..", system.name)
		if err := protovalidate.Validate(cfg); err != nil {
			t.Fatal(err)
		}
		connectors, err := changerecord.Open([]*configv1.ChangeConnector{cfg})
		if err != nil {
			t.Fatal(err)
		}
		rule := &policyv1.ChangeRecordRule{
			Name: "change-record", Connector: system.name, System: "tracker", IdPattern: system.pattern, States: system.states,
			ServiceNames: map[string]string{"shop": "Web shop"}, RequireWindow: true, RequireService: true,
		}
		good := changerecordtest.Record{State: system.states[1], Service: "Web shop", Start: now.Add(-time.Hour), End: now.Add(time.Hour)}
		for _, test := range []struct {
			name   string
			change func(*changerecordtest.Record, *releasev1.Request)
			why    string
		}{
			{"in order", func(*changerecordtest.Record, *releasev1.Request) {}, ""},
			{"the other state", func(r *changerecordtest.Record, _ *releasev1.Request) { r.State = system.states[0] }, ""},
			{"another state", func(r *changerecordtest.Record, _ *releasev1.Request) { r.State = "0" }, `is in state "0"`},
			{"another service's", func(r *changerecordtest.Record, _ *releasev1.Request) { r.Service = "shop" }, `is about "shop", not about Web shop`},
			{"nobody's", func(r *changerecordtest.Record, _ *releasev1.Request) { r.Service = "" }, "does not say which service"},
			{"no window", func(r *changerecordtest.Record, _ *releasev1.Request) { r.Start, r.End = time.Time{}, time.Time{} }, "has no window"},
			{"over this very moment", func(r *changerecordtest.Record, _ *releasev1.Request) { r.End = now }, "ended 2026-11-28T20:30:00Z"},
			{"a window that ends before it begins", func(r *changerecordtest.Record, _ *releasev1.Request) { r.Start = r.End.Add(time.Hour) }, "ends before it begins"},
			{"not there", func(_ *changerecordtest.Record, q *releasev1.Request) {
				q.ChangeRecord.Id = strings.ReplaceAll(system.id, "1", "9")
			}, "there is no change record"},
			{"no such id", func(_ *changerecordtest.Record, q *releasev1.Request) { q.ChangeRecord.Id = "CHG1^ORnumberISNOTEMPTY" }, "is no id of a change record"},
			{"an id and more", func(_ *changerecordtest.Record, q *releasev1.Request) { q.ChangeRecord.Id = system.id + "x" }, "is no id of a change record"},
			{"of another system", func(_ *changerecordtest.Record, q *releasev1.Request) { q.ChangeRecord.System = "other" }, `names a change record of "other"`},
		} {
			record, request := good, &releasev1.Request{Service: "shop", ChangeRecord: &releasev1.ChangeRecord{System: "tracker", Id: system.id}}
			test.change(&record, request)
			s.Set(system.id, record)
			got := connectors.Check(t.Context(), []*policyv1.ChangeRecordRule{rule}, request, now)[0]
			if got.Unknown != nil || !strings.Contains(got.Why, test.why) || (test.why == "") != (got.Why == "") {
				t.Errorf("%s, %s: %q, %v, want %q", system.name, test.name, got.Why, got.Unknown, test.why)
			}
			if test.why == "" && (!got.Reading.GetWindowEnd().AsTime().Equal(good.End) || !strings.Contains(string(got.Document), system.id)) {
				t.Errorf("%s, %s: read %v, kept %s", system.name, test.name, got.Reading, got.Document)
			}
			if strings.Contains(string(got.Document), "c2hpcHdhcmRlbjpzZWNyZXQ") {
				t.Errorf("%s: the secret is kept as evidence", system.name)
			}
		}
		// A window that has not begun is no reason against it, but one to wait.
		later := good
		later.Start = now.Add(time.Minute)
		s.Set(system.id, later)
		request := &releasev1.Request{Service: "shop", ChangeRecord: &releasev1.ChangeRecord{System: "tracker", Id: system.id}}
		if got := connectors.Check(t.Context(), []*policyv1.ChangeRecordRule{rule}, request, now)[0]; got.Why != "" || !got.From.Equal(later.Start) {
			t.Errorf("%s: %q, from %s", system.name, got.Why, got.From)
		}
	}
}

// What is no answer about the record is not known: it neither passes nor refuses, and the
// address is not told.
func TestWhatIsNotKnownIsSaidToBe(t *testing.T) {
	var body string
	var elsewhere int
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	t.Cleanup(other.Close)
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body == "hang" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Location", other.URL)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	within := func(patience time.Duration) *changerecord.Connector {
		c, err := changerecord.New(&configv1.ChangeConnector{
			Name: "x", Url: server.URL + "/{id}", Fields: &configv1.RecordFields{Id: "/id", State: "/state", WindowEnd: "/end", Service: "/of"},
			Timeout: durationpb.New(patience),
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	impatient, c := within(200*time.Millisecond), within(time.Minute)
	for _, test := range []struct {
		name, body, want string
		code             int
	}{
		{"nobody in time", "hang", "does not answer in time", 200},
		{"an error", "{}", "HTTP 503", 503},
		{"a caller who may not", "{}", "HTTP 401", 401},
		{"a redirect", "{}", "redirects are not followed", 302},
		{"no JSON", "<html>", "not one JSON document", 200},
		{"two documents", `{"id":"A","state":"x"} {}`, "not one JSON document", 200},
		{"no state", `{"id":"A"}`, "has no state", 200},
		{"a state of many parts", `{"id":"A","state":{"name":"x"}}`, "fields.state", 200},
		{"a time that is none", `{"id":"A","state":"x","end":"soon"}`, `fields.window_end: "soon" is no time`, 200},
		{"too long a text", `{"id":"A","state":"x","of":"` + strings.Repeat("x", 300) + `"}`, "fields.service", 200},
		{"too long an answer", `{"id":"A","state":"` + strings.Repeat("x", 300<<10) + `"}`, "longer than", 200},
	} {
		body, code = test.body, test.code
		look := c
		if body == "hang" {
			look = impatient
		}
		_, err := look.Look(t.Context(), "A")
		if !errors.Is(err, changerecord.ErrUnknown) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	server.Close()
	if _, err := c.Look(t.Context(), "A"); !errors.Is(err, changerecord.ErrUnknown) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("nobody there: %v", err)
	}
	if elsewhere > 0 {
		t.Error("a redirect was followed")
	}
	rule := &policyv1.ChangeRecordRule{Name: "r", Connector: "none", System: "s", IdPattern: "A", States: []string{"x"}}
	request := &releasev1.Request{ChangeRecord: &releasev1.ChangeRecord{System: "s", Id: "A"}}
	if got := (changerecord.Connectors{}).Check(t.Context(), []*policyv1.ChangeRecordRule{rule}, request, now)[0]; got.Unknown == nil {
		t.Errorf("without a connector: %v", got)
	}
}

func TestAConnectorIsRefusedThatCouldReachOthers(t *testing.T) {
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := func() *configv1.ChangeConnector {
		return &configv1.ChangeConnector{Name: "x", Url: "https://host.example/a/{id}?b=c", Fields: &configv1.RecordFields{Id: "/id", State: "/s"}}
	}
	for name, test := range map[string]struct {
		change func(*configv1.ChangeConnector)
		field  string
	}{
		"good":                  {func(*configv1.ChangeConnector) {}, ""},
		"in the query":          {func(c *configv1.ChangeConnector) { c.Url = "https://host.example/?q={id}" }, ""},
		"no id":                 {func(c *configv1.ChangeConnector) { c.Url = "https://host.example/" }, "url"},
		"two ids":               {func(c *configv1.ChangeConnector) { c.Url = "https://host.example/{id}/{id}" }, "url"},
		"the id is the host":    {func(c *configv1.ChangeConnector) { c.Url = "https://{id}/" }, "url"},
		"the id is of the host": {func(c *configv1.ChangeConnector) { c.Url = "https://host{id}.example/" }, "url"},
		"the id is the port":    {func(c *configv1.ChangeConnector) { c.Url = "https://host.example:{id}/" }, "url"},
		"the id is a user":      {func(c *configv1.ChangeConnector) { c.Url = "https://{id}@host.example/" }, "url"},
		"a password":            {func(c *configv1.ChangeConnector) { c.Url = "https://u:p@host.example/{id}" }, "url"},
		"plain text":            {func(c *configv1.ChangeConnector) { c.Url = "http://host.example/{id}" }, "url"},
		"a file":                {func(c *configv1.ChangeConnector) { c.Url = "file:///{id}" }, "url"},
		"no secret":             {func(c *configv1.ChangeConnector) { c.HeaderFile = filepath.Join(folder, "none") }, "header_file"},
		"no certificates":       {func(c *configv1.ChangeConnector) { c.CaFile = garbage }, "ca_file"},
	} {
		c := good()
		test.change(c)
		_, err := changerecord.Open([]*configv1.ChangeConnector{c})
		if (err == nil) != (test.field == "") || err != nil && !strings.HasPrefix(err.Error(), "change_connectors[0]."+test.field+":") {
			t.Errorf("%s: %v, want field %q", name, err, test.field)
		}
	}
	if _, err := changerecord.Open([]*configv1.ChangeConnector{good(), good()}); err == nil || !strings.HasPrefix(err.Error(), "change_connectors[1].name:") {
		t.Errorf("twice: %v", err)
	}
}
