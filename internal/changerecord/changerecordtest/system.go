// Package changerecordtest has systems that keep change records, for tests: with the shapes
// of answers of ServiceNow's Table API and of Jira's issue API, on this machine.
package changerecordtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"buf.build/go/protoyaml"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Secret is what a caller has to send as Authorization.
const Secret = "Basic c2hpcHdhcmRlbjpzZWNyZXQ="

// Record is a change record as a system has it. Times that are zero are not there.
type Record struct {
	State, Service string
	Start, End     time.Time
}

// System is one that keeps records. It is safe for concurrent use.
type System struct {
	*httptest.Server

	mu      sync.Mutex
	records map[string]Record
	status  int
	asked   int
}

// ServiceNow answers GET /api/now/table/change_request as ServiceNow does.
func ServiceNow(t testing.TB) *System {
	return start(t, func(s *System, w http.ResponseWriter, r *http.Request) {
		number, found := strings.CutPrefix(r.URL.Query().Get("sysparm_query"), "number=")
		if r.URL.Path != "/api/now/table/change_request" || !found {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]any{"error": map[string]any{"message": "Invalid table", "detail": nil}, "status": "failure"})
			return
		}
		result := []map[string]any{}
		if record, ok := s.get(number); ok {
			result = append(result, map[string]any{
				"number": number, "state": record.State, "cmdb_ci.name": record.Service,
				"start_date": date(record.Start, time.DateTime), "end_date": date(record.End, time.DateTime),
			})
		}
		answer(w, map[string]any{"result": result})
	})
}

// Jira answers GET /rest/api/3/issue/{key} as Jira Cloud does.
func Jira(t testing.TB) *System {
	return start(t, func(s *System, w http.ResponseWriter, r *http.Request) {
		key, found := strings.CutPrefix(r.URL.Path, "/rest/api/3/issue/")
		record, ok := s.get(key)
		if !found || !ok {
			w.WriteHeader(http.StatusNotFound)
			answer(w, map[string]any{
				"errorMessages": []string{"Issue does not exist or you do not have permission to see it."}, "errors": map[string]any{},
			})
			return
		}
		fields := map[string]any{
			"status": map[string]any{
				"self": s.URL + "/rest/api/3/status/10004", "description": "", "iconUrl": s.URL + "/", "name": record.State, "id": "10004",
				"statusCategory": map[string]any{"id": 4, "key": "indeterminate", "colorName": "yellow", "name": "In Progress"},
			},
			"customfield_10050": nil, "customfield_10051": nil, "components": []any{},
		}
		const layout = "2006-01-02T15:04:05.000-0700"
		if !record.Start.IsZero() {
			fields["customfield_10050"] = record.Start.In(time.FixedZone("", 3600)).Format(layout)
		}
		if !record.End.IsZero() {
			fields["customfield_10051"] = record.End.In(time.FixedZone("", 3600)).Format(layout)
		}
		if record.Service != "" {
			fields["components"] = []any{map[string]any{"self": s.URL + "/rest/api/3/component/10000", "id": "10000", "name": record.Service}}
		}
		answer(w, map[string]any{
			"expand": "renderedFields,names,schema", "id": "10012", "self": s.URL + "/rest/api/3/issue/10012", "key": key, "fields": fields,
		})
	})
}

func start(t testing.TB, handle func(*System, http.ResponseWriter, *http.Request)) *System {
	t.Helper()
	s := &System{records: map[string]Record{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked++
		status := s.status
		s.mu.Unlock()
		switch {
		case status != 0:
			w.Header().Set("Location", s.URL+"/elsewhere")
			w.WriteHeader(status)
		case r.Header.Get("Authorization") != Secret:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method != http.MethodGet:
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			handle(s, w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// Set puts a record there.
func (s *System) Set(id string, r Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[id] = r
}

// Fail lets every answer be of that status; 0 ends it.
func (s *System) Fail(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}

// Asked is how often it was asked for anything.
func (s *System) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *System) get(id string) (Record, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[id]
	return r, ok
}

// Connector is the example configuration of that name, of examples/change-records below the
// root of the repository, with the address of the system and its secret.
func (s *System) Connector(t testing.TB, root, example string) *configv1.ChangeConnector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "examples", "change-records", example+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c := &configv1.ChangeConnector{}
	if err := protoyaml.Unmarshal(data, c); err != nil {
		t.Fatalf("%s: %v", example, err)
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(c.GetUrl(), "https://"), "/")
	c.Url, c.HeaderFile = s.URL+"/"+path, filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(c.GetHeaderFile(), []byte(Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func date(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	body, err := json.Marshal(v)
	if err != nil {
		body = fmt.Appendf(nil, "%v", err)
	}
	_, _ = w.Write(body)
}
