package logcheck_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/logcheck"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/target/tlstest"
)

// entry is a line of a log.
type entry struct {
	labels map[string]string
	at     time.Time
	line   string
}

// peer answers as the documentation of Loki's HTTP API says: instant queries of counts, over the
// lines that it has. It is no Loki, of which it understands these queries alone.
type peer struct {
	entries []entry
	// token is demanded of who asks.
	token string
}

var (
	query   = regexp.MustCompile(`^sum\(count_over_time\(\{([^{}]*)\}(.*) \[([0-9]+)ms\]\)\)$`)
	matcher = regexp.MustCompile(`^([a-z]+)="([^"]*)"$`)
)

func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+p.token {
		http.Error(w, "who is "+r.Header.Get("Authorization"), http.StatusBadRequest)
		return
	}
	ns, err := strconv.ParseInt(r.FormValue("time"), 10, 64)
	if r.Method != http.MethodGet || r.URL.Path != "/below/loki/api/v1/query" || err != nil {
		http.NotFound(w, r)
		return
	}
	n, err := p.count(r.FormValue("query"), time.Unix(0, ns))
	if err != nil {
		http.Error(w, "parse error at line 1, col 1: "+err.Error(), http.StatusBadRequest)
		return
	}
	result := []any{}
	if n > 0 {
		result = append(result, map[string]any{"metric": map[string]string{}, "value": []any{json.Number(fmt.Sprintf("%.3f", float64(ns)/1e9)), strconv.Itoa(n)}})
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{
		"resultType": "vector", "result": result, "stats": map[string]any{"summary": map[string]any{"totalLinesProcessed": n}},
	}})
}

// count evaluates a query.
func (p *peer) count(text string, at time.Time) (n int, err error) {
	parts := query.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("unexpected %s", text)
	}
	labels := map[string]string{}
	for each := range strings.SplitSeq(parts[1], ",") {
		pair := matcher.FindStringSubmatch(each)
		if pair == nil {
			return 0, fmt.Errorf("unexpected %s", each)
		}
		labels[pair[1]] = pair[2]
	}
	window, err := strconv.Atoi(parts[3])
	if err != nil {
		return 0, err
	}
	for _, e := range p.entries {
		good := e.at.After(at.Add(-time.Duration(window)*time.Millisecond)) && !e.at.After(at)
		for name, value := range labels {
			good = good && e.labels[name] == value
		}
		for rest := parts[2]; good && rest != ""; {
			operator, after := rest[1:3], rest[4:]
			quoted, err := strconv.QuotedPrefix(after)
			if err != nil {
				return 0, err
			}
			pattern, err := strconv.Unquote(quoted)
			if err != nil {
				return 0, err
			}
			has := strings.Contains(e.line, pattern)
			if operator[1] == '~' {
				if has, err = regexp.MatchString(pattern, e.line); err != nil {
					return 0, err
				}
			}
			good, rest = has == (operator[0] == '|'), after[len(quoted):]
		}
		if good {
			n++
		}
	}
	return n, nil
}

// TestProbeAsksAPeerOfLoki has logs that are well, are not, are silent, and were silent before, as
// a server answers that was written by Loki's documentation.
func TestProbeAsksAPeerOfLoki(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	const secret = "s3cret-token"
	of := &peer{token: secret}
	write := func(target string, ago time.Duration, lines ...string) {
		for _, line := range lines {
			of.entries = append(of.entries, entry{map[string]string{"app": "shop", "target": target}, now.Add(-ago), line})
		}
	}
	write("eu1", time.Second, "level=info started", `level=error "quoted" \back`, "level=error client went away", "level=warn slow")
	write("eu1", 2*time.Minute, "level=error of what ran before")
	write("eu2", 30*time.Second, "level=info started")
	authority := tlstest.NewAuthority(t, now.AddDate(1, 0, 0))
	server := httptest.NewUnstartedServer(of)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Issue(now.AddDate(1, 0, 0))}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(name, url, token string) (*metrics.Source, error) {
		all, err := metrics.OpenLogs([]*configv1.MetricSource{{Name: name, Url: url, TokenFile: token, Tls: &configv1.Tls{CaFile: authority.File()}}}, nil, nil)
		return all[name], err
	}
	sources := map[string]*metrics.Source{}
	var err error
	if sources["logs"], err = open("logs", server.URL+"/below", token); err != nil {
		t.Fatal(err)
	}
	if sources["elsewhere"], err = open("elsewhere", server.URL, token); err != nil {
		t.Fatal(err)
	}
	unknown := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(unknown, []byte("another-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if sources["unknown"], err = open("unknown", server.URL+"/below", unknown); err != nil {
		t.Fatal(err)
	}
	prober := logcheck.Prober{Sources: sources, Now: func() time.Time { return now }}
	contains := func(s string) *releasev1.LineFilter {
		return &releasev1.LineFilter{Filter: &releasev1.LineFilter_Contains{Contains: s}}
	}
	lacks := func(s string) *releasev1.LineFilter {
		return &releasev1.LineFilter{Filter: &releasev1.LineFilter_Lacks{Lacks: s}}
	}
	matches := func(s string) *releasev1.LineFilter {
		return &releasev1.LineFilter{Filter: &releasev1.LineFilter_Matches{Matches: s}}
	}
	type lines = []*releasev1.LineFilter
	for _, test := range []struct {
		name           string
		source, target string
		since, silence time.Duration
		lines          lines
		want           check.Outcome
		says           string
	}{
		{"no such line", "logs", "eu1", time.Minute, 0, lines{contains("panic")}, check.Passed, "0 lines"},
		{"too many", "logs", "eu1", time.Minute, 0, lines{contains("level=error")}, check.Failed, "2 lines in 1m0"},
		{"of all that is said", "logs", "eu1", time.Minute, 0, lines{contains("level=error"), lacks("went away")}, check.Passed, "1 lines"},
		{"an expression", "logs", "eu1", time.Minute, 0, lines{matches("level=(error|warn)")}, check.Failed, "3 lines"},
		{"quotes and a backslash", "logs", "eu1", time.Minute, 0, lines{contains(`"quoted" \back`), contains("error")}, check.Passed, "1 lines"},
		{"with what was before the change", "logs", "eu1", 5 * time.Minute, 0, lines{contains("level=error")}, check.Failed, "3 lines in 5m0"},
		{"a target without a log", "logs", "eu3", time.Minute, 0, lines{contains("level=error")}, check.Error, "the log is silent"},
		{"a log that was not silent", "logs", "eu2", time.Minute, 0, lines{contains("level=error")}, check.Passed, "0 lines"},
		{"and then was", "logs", "eu2", time.Minute, 10 * time.Second, lines{contains("level=error")}, check.Error, "the log is silent: no line of any kind in 10s"},
		{"a change of right now", "logs", "eu1", -time.Minute, 0, lines{contains("level=error")}, check.Error, "began only now"},
		{"nothing at that path", "elsewhere", "eu1", time.Minute, 0, lines{contains("level=error")}, check.Error, "status 404"},
		{"a source that repeats what it was told", "unknown", "eu1", time.Minute, 0, lines{contains("level=error")}, check.Error, "status 400: who is"},
		{"a query that the source does not understand", "logs", "}{", time.Minute, 0, lines{contains("x")}, check.Error, "status 400: parse error"},
		{"no such source", "others", "eu1", time.Minute, 0, lines{contains("x")}, check.Error, `no source of logs "others"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &releasev1.LogProbe{
				Source: test.source, Selector: `{app="shop",target="` + test.target + `"}`, Lines: test.lines,
				Range: &releasev1.NumberRange{Max: proto.Float64(1)}, Over: durationpb.New(10 * time.Minute),
			}
			if test.silence > 0 {
				p.MaxSilence = durationpb.New(test.silence)
			}
			since := now.Add(-test.since)
			got := prober.ProbeSince(t.Context(), nil, &releasev1.Check{Probe: &releasev1.Check_Logs{Logs: p}}, since)
			if got.Outcome != test.want || !strings.Contains(got.Detail, test.says) {
				t.Errorf("%v (%s), want %v (%s)", got.Outcome, got.Detail, test.want, test.says)
			}
			if strings.Contains(got.Detail, "token") {
				t.Errorf("it repeats a secret: %s", got.Detail)
			}
		})
	}
	if prober.Place("logs") != server.URL+"/below" || prober.Place("others") != "" {
		t.Errorf("%q, %q", prober.Place("logs"), prober.Place("others"))
	}
}
