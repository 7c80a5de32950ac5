package metrics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/dnstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/metrics"
	"github.com/blackdice/shipwarden/services/validator/target/tlstest"
)

// How long the questions of these tests may take: long where an answer comes, short where
// none does.
const (
	patience   = 10 * time.Second
	impatience = 100 * time.Millisecond
)

// TestMain names a proxy at which nobody listens, before anything can have read the
// environment.
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// open returns the source of a configuration.
func open(t *testing.T, c *configv1.MetricSource, resolver *net.Resolver, now func() time.Time) *metrics.Source {
	t.Helper()
	c.Name = "metrics"
	all, err := metrics.Open([]*configv1.MetricSource{c}, resolver, now)
	if err != nil {
		t.Fatal(err)
	}
	return all["metrics"]
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// at is a moment with more digits than the API takes.
func at() time.Time { return time.UnixMilli(time.Now().UnixMilli()).Add(123 * time.Microsecond) }

// answers is a source that says this to every question; %[1]s is the time that was asked for,
// %[2]s the first one of a span, and %[3]s a second after the last one.
func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		last, first := r.FormValue("time"), r.FormValue("start")
		if last == "" {
			last = r.FormValue("end")
		}
		seconds, _ := strconv.ParseFloat(last, 64)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, text+"%.0[1]s%.0[2]s%.0[3]s", last, first, strconv.FormatFloat(seconds+1, 'f', 3, 64))
	}
}

const (
	vector = `{"status":"success","data":{"resultType":"vector","result":[%s]}}`
	matrix = `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`
)

func TestAskSendsTheQuestionAndReadsTheAnswer(t *testing.T) {
	moment := at()
	last := moment.Truncate(time.Millisecond).UTC()
	for _, test := range []struct {
		name, answer string
		question     metrics.Question
		path         string
		form         map[string]string
		want         []metrics.Series
	}{
		{
			"of now", fmt.Sprintf(vector, `{"metric":{"a":"1"},"value":[%[1]s,"0.250"]},{"metric":{},"value":[%[1]s,"NaN"]}`),
			metrics.Question{Query: "up", At: moment},
			"/below/api/v1/query",
			map[string]string{"query": "up", "time": fmt.Sprintf("%.3f", float64(last.UnixMilli())/1000), "start": ""},
			[]metrics.Series{{{Time: last, Value: "0.25"}}, {{Time: last, Value: "NaN"}}},
		},
		{
			"over a span", fmt.Sprintf(matrix, `{"metric":{},"values":[[%[2]s,"1e3"],[%[1]s,"-Inf"]]}`),
			metrics.Question{Query: "up", At: moment, Over: 25 * time.Second, Step: 10 * time.Second},
			"/below/api/v1/query_range",
			map[string]string{
				"query": "up", "step": "10", "time": "", "end": fmt.Sprintf("%.3f", float64(last.UnixMilli())/1000),
				"start": fmt.Sprintf("%.3f", float64(last.Add(-20*time.Second).UnixMilli())/1000),
			},
			[]metrics.Series{{{Time: last.Add(-20 * time.Second), Value: "1000"}, {Time: last, Value: "-Inf"}}},
		},
		{"nothing", fmt.Sprintf(vector, ""), metrics.Question{Query: "up", At: moment}, "/below/api/v1/query", nil, nil},
		{"what is only remarked", `{"status":"success","infos":["a metric might not be a counter"],"warnings":[],"isPartial":false,"stats":{},"data":{"resultType":"vector","result":[],"analysis":{}}}`, metrics.Question{Query: "up", At: moment}, "/below/api/v1/query", nil, nil},
		{
			"what is too large, or longer than it has to be", fmt.Sprintf(vector, `{"metric":{},"value":[%[1]s,"1e999"]},{"metric":{"a":""},"value":[%[1]s,"0.00000000000000000000000000000000000000000000012"]}`),
			metrics.Question{Query: "up", At: moment},
			"/below/api/v1/query", nil,
			[]metrics.Series{{{Time: last, Value: "+Inf"}}, {{Time: last, Value: "1.2e-46"}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != test.path || r.URL.RawQuery != "" {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				for name, want := range test.form {
					if got := r.FormValue(name); got != want {
						t.Errorf("%s = %q, want %q", name, got, want)
					}
				}
				if left, err := time.ParseDuration(r.FormValue("timeout")); err != nil || left <= 0 || left > patience {
					t.Errorf("timeout %q", r.FormValue("timeout"))
				}
				for _, name := range []string{"Cookie", "Authorization", "Accept-Encoding"} {
					if r.Header.Get(name) != "" {
						t.Errorf("%s was sent", name)
					}
				}
				answers(test.answer)(w, r)
			}))
			defer server.Close()
			got, err := open(t, &configv1.MetricSource{Url: server.URL + "/below/"}, nil, nil).Ask(within(t, patience), test.question)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

// TestWhatIsNoAnswerIsAnError has everything that must not be taken for values.
func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a server that is no source was asked") }))
	defer elsewhere.Close()
	says := func(code int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
		}
	}
	good := fmt.Sprintf(vector, `{"metric":{},"value":[%[1]s,"1"]}`)
	one := func(text string) http.HandlerFunc { return answers(fmt.Sprintf(vector, text)) }
	span := func(text string) http.HandlerFunc { return answers(fmt.Sprintf(matrix, text)) }
	header := func(name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(name, value)
			answers(good)(w, r)
		}
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		over    bool
		patient time.Duration
		says    string
	}{
		{name: "no success", handler: answers(strings.Replace(good, "success", "error", 1)), says: "no success"},
		{name: "no status", handler: answers(strings.Replace(good, "status", "infos", 1)), says: "no success"},
		{name: "not JSON", handler: answers("status: success"), says: "not well-formed JSON"},
		{name: "a list", handler: answers("[]"), says: "not an object"},
		{name: "JSON that goes on", handler: answers(good + "{}"), says: "something follows"},
		{name: "JSON that is cut", handler: answers(good[:40]), says: "not well-formed JSON"},
		{name: "the values twice", handler: answers(strings.Replace(good, `"data"`, `"data":{"resultType":"vector","result":[]},"data"`, 1)), says: "occurs twice"},
		{name: "a value twice", handler: one(`{"metric":{},"value":[%[1]s,"9"],"value":[%[1]s,"1"]}`), says: "occurs twice"},
		{name: "not UTF-8", handler: one("{\"metric\":{\"a\":\"\xff\"},\"value\":[%[1]s,\"1\"]}"), says: "not UTF-8"},
		{name: "a warning", handler: answers(strings.Replace(good, `"data"`, `"warnings":["a store could not be asked"],"data"`, 1)), says: "1 warnings: a store could not be asked"},
		{name: "warnings that are no list", handler: answers(strings.Replace(good, `"data"`, `"warnings":"x","data"`, 1)), says: "warnings are no list"},
		{name: "a part", handler: answers(strings.Replace(good, `"data"`, `"isPartial":true,"data"`, 1)), says: "it is partial"},
		{name: "what nobody knows", handler: answers(strings.Replace(good, `"data"`, `"incomplete":true,"data"`, 1)), says: `"incomplete", of which nobody knows`},
		{name: "no data", handler: answers(`{"status":"success"}`), says: "no data"},
		{name: "no result", handler: answers(`{"status":"success","data":{"resultType":"vector","result":null}}`), says: "no result"},
		{name: "a number", handler: answers(`{"status":"success","data":{"resultType":"scalar","result":[%[1]s,"1"]}}`), says: `"scalar", not a vector`},
		{name: "a text", handler: answers(`{"status":"success","data":{"resultType":"string","result":[%[1]s,"1"]}}`), says: `"string", not a vector`},
		{name: "a span where one was not asked for", handler: span(`{"metric":{},"values":[[%[1]s,"1"]]}`), says: `"matrix", not a vector`},
		{name: "no span where one was asked for", handler: answers(good), over: true, says: `"vector", not a matrix`},
		{name: "a histogram", handler: one(`{"metric":{},"histogram":[%[1]s,{"count":"1","sum":"1"}]}`), says: "no number"},
		{name: "a value and a histogram", handler: one(`{"metric":{},"value":[%[1]s,"1"],"histogram":[%[1]s,{}]}`), says: "no number"},
		{name: "no labels", handler: one(`{"value":[%[1]s,"1"]}`), says: "no labels"},
		{name: "a label that is no text", handler: one(`{"metric":{"a":1},"value":[%[1]s,"1"]}`), says: "no text"},
		{name: "a series twice", handler: one(`{"metric":{"a":"1","b":"2"},"value":[%[1]s,"1"]},{"metric":{"b":"2","a":"1"},"value":[%[1]s,"1"]}`), says: "there already"},
		{name: "a series that is a number", handler: one(`1`), says: "no series"},
		{name: "no value", handler: one(`{"metric":{}}`), says: "no values"},
		{name: "half a value", handler: one(`{"metric":{},"value":[%[1]s]}`), says: "no time with a value"},
		{name: "a value that is no text", handler: one(`{"metric":{},"value":[%[1]s,1]}`), says: "value is no number"},
		{name: "a value in hexadecimal", handler: one(`{"metric":{},"value":[%[1]s,"0x1p-2"]}`), says: "value is no number"},
		{name: "a value with room", handler: one(`{"metric":{},"value":[%[1]s," 1"]}`), says: "value is no number"},
		{name: "an infinity in other words", handler: one(`{"metric":{},"value":[%[1]s,"Infinity"]}`), says: "value is no number"},
		{name: "no number at all", handler: one(`{"metric":{},"value":[%[1]s,""]}`), says: "value is no number"},
		{name: "a time that is a text", handler: one(`{"metric":{},"value":["%[1]s","1"]}`), says: "time is no number"},
		{name: "a time before there was any", handler: one(`{"metric":{},"value":[-1,"1"]}`), says: "time is none"},
		{name: "a time after there is any", handler: one(`{"metric":{},"value":[1e300,"1"]}`), says: "time is none"},
		{name: "a value of the future", handler: one(`{"metric":{},"value":[%[3]s,"1"]}`), says: "after the one that was asked for"},
		{name: "a span of the future", handler: span(`{"metric":{},"values":[[%[1]s,"1"],[%[3]s,"1"]]}`), over: true, says: "after the one that was asked for"},
		{name: "a span of before", handler: span(`{"metric":{},"values":[[1,"1"],[%[1]s,"1"]]}`), over: true, says: "before those that were asked for"},
		{name: "a span that stands still", handler: span(`{"metric":{},"values":[[%[1]s,"1"],[%[1]s,"1"]]}`), over: true, says: "does not follow"},
		{name: "a span that goes back", handler: span(`{"metric":{},"values":[[%[1]s,"1"],[%[2]s,"1"]]}`), over: true, says: "does not follow"},
		{name: "a span with more than it can have", handler: span(`{"metric":{},"values":[[1,"1"],[2,"1"],[3,"1"],[4,"1"]]}`), over: true, says: "4 points, where there can be 3"},
		{name: "a span without points", handler: span(`{"metric":{},"values":[]}`), over: true, says: "no points"},

		{name: "a query that is none", handler: says(400, "application/json", `{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unclosed left parenthesis"}`), says: `status 400 bad_data: invalid parameter "query": 1:4: parse error`},
		{name: "a query that cannot be computed", handler: says(422, "application/json", `{"status":"error","errorType":"execution","error":"found duplicate series"}`), says: "status 422 execution: found duplicate series"},
		{name: "an error with an answer to the question", handler: says(500, "application/json", `{"status":"success","data":{"resultType":"vector","result":[]}}`), says: "status 500"},
		{name: "another success", handler: says(206, "application/json", `{"status":"success","data":{"resultType":"vector","result":[]}}`), says: "status 206"},
		{name: "nobody is let in", handler: says(401, "text/html", "<html>"), says: "status 401"},
		{name: "a redirect", handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, says: "status 302, and a redirect is not followed"},
		{name: "a redirect that keeps the method", handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, says: "status 307, and a redirect is not followed"},
		{name: "a redirect to itself", handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login", http.StatusPermanentRedirect)
		}, says: "status 308"},
		{name: "a page", handler: says(200, "text/html", "<html>"), says: `of the type "text/html", not JSON`},
		{name: "JSON that does not say so", handler: says(200, "text/plain", `{"status":"success"}`), says: "not JSON"},
		{name: "JSON of another kind", handler: says(200, "application/problem+json", `{}`), says: "not JSON"},
		{name: "a compressed answer", handler: header("Content-Encoding", "gzip"), says: `encoded as "gzip"`},
		{name: "an answer of yesterday", handler: header("Date", time.Now().Add(-24*time.Hour).UTC().Format(http.TimeFormat)), says: "and here it is"},
		{name: "an answer of tomorrow", handler: header("Date", time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat)), says: "and here it is"},
		{name: "an answer without a time", handler: header("Date", ""), says: "does not say when"},
		{name: "an answer at no time", handler: header("Date", "today"), says: "does not say when"},
		{name: "more than anybody reads", handler: one(`{"metric":{},"value":[%[1]s,"` + strings.Repeat("0", metrics.MaxBody) + `"]}`), says: "larger than 1048576 bytes"},
		{name: "an answer without an end", handler: endless, says: "larger than 1048576 bytes"},
		{name: "half an answer", handler: header("Content-Length", "1000"), says: "cut after"},
		{name: "a header without an end", handler: header("X-Huge", strings.Repeat("x", 1<<20)), says: "header"},
		{name: "silence", handler: silent, patient: impatience, says: "not in time"},
		{name: "one byte and then silence", handler: trickle, patient: impatience, says: "not in time"},
		{name: "another protocol", handler: hangUp("SSH-2.0-OpenSSH\r\n\r\n"), says: "malformed HTTP"},
		{name: "a connection that is closed", handler: hangUp(""), says: "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			question := metrics.Question{Query: "up", At: time.Now()}
			if test.over {
				question.Over, question.Step = 20*time.Second, 10*time.Second
			}
			if test.patient == 0 {
				test.patient = patience
			}
			got, err := open(t, &configv1.MetricSource{Url: server.URL}, nil, nil).Ask(within(t, test.patient), question)
			if got != nil || !errors.Is(err, metrics.ErrAnswer) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Ask = %v, %v, want %q", got, err, test.says)
			}
		})
	}
}

// TestWhereASourceIsIsJudgedAfterItsNameIsResolved, as that of a target is.
func TestWhereASourceIsIsJudgedAfterItsNameIsResolved(t *testing.T) {
	server := httptest.NewServer(answers(fmt.Sprintf(vector, "")))
	defer server.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	names := dnstest.Resolver(t, map[string][]string{"meta.test": {"169.254.169.254"}, "inside.test": {"127.0.0.1"}, "shop.localhost": {"127.0.0.1"}})
	for _, test := range []struct{ url, says string }{
		// By a name, because loopback addresses never are asked for by way of a proxy.
		{"http://shop.localhost:" + port, ""},
		{"http://meta.test:" + port, "address must not be reached"},
		{"http://inside.test:" + port, "address must not be reached"},
		{"http://nowhere.test:" + port, "name does not resolve"},
		{"https://shop.localhost:" + port, "server gave HTTP response to HTTPS client"},
		{closed.URL, "connection refused"},
	} {
		_, err := open(t, &configv1.MetricSource{Url: test.url}, names, nil).Ask(within(t, patience), metrics.Question{Query: "up", At: time.Now()})
		if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, metrics.ErrAnswer) || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: %v, want %q", test.url, err, test.says)
		}
	}
}

// TestAClockThatIsWrongIsSeen: of which time the values are that come back nobody knows.
func TestAClockThatIsWrongIsSeen(t *testing.T) {
	server := httptest.NewServer(answers(fmt.Sprintf(vector, "")))
	defer server.Close()
	for _, test := range []struct {
		ahead time.Duration
		fine  bool
	}{{0, true}, {20 * time.Second, true}, {-20 * time.Second, true}, {time.Minute, false}, {-time.Minute, false}, {-24 * time.Hour, false}} {
		clock := func() time.Time { return time.Now().Add(test.ahead) }
		_, err := open(t, &configv1.MetricSource{Url: server.URL}, nil, clock).Ask(within(t, patience), metrics.Question{Query: "up", At: clock()})
		if (err == nil) != test.fine {
			t.Errorf("%s ahead: %v", test.ahead, err)
		}
	}
}

// TestSecretsAreSentAndNeverTold: they come from their files, as these are at the moment, go
// to the source, and come back in no error, whatever the source says.
func TestSecretsAreSentAndNeverTold(t *testing.T) {
	year := time.Now().AddDate(1, 0, 0)
	authority := tlstest.NewAuthority(t, year)
	token, tenant := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "tenant")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token, "t0ken-1\n")
	write(tenant, "ten4nt\n")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"status":"error","errorType":"bad_data","error":"%s %s %s"}`, r.Header.Get("Authorization"), r.Header.Get("X-Secret"), r.Header.Get("X-Scope-OrgID")) //nolint:gosec // It is no page, and nobody but the test reads it.
	}))
	certificate := authority.Issue(year)
	server.TLS = tlsOf(certificate)
	server.StartTLS()
	defer server.Close()
	cfg := &configv1.MetricSource{Url: server.URL, TokenFile: token, Tls: &configv1.Tls{CaFile: authority.File()}, Headers: []*configv1.MetricHeader{
		{Name: "X-Scope-OrgID", From: &configv1.MetricHeader_Value{Value: "shop"}},
		{Name: "X-Secret", From: &configv1.MetricHeader_ValueFile{ValueFile: tenant}},
	}}
	source := open(t, cfg, nil, nil)
	ask := func() string {
		_, err := source.Ask(within(t, patience), metrics.Question{Query: "up", At: time.Now()})
		if !errors.Is(err, metrics.ErrAnswer) {
			t.Fatal(err)
		}
		return err.Error()
	}
	if said := ask(); !strings.HasSuffix(said, "bad_data: … … shop") {
		t.Errorf("it says %s", said)
	}
	write(token, "t0ken-2\n")
	if said := ask(); strings.Contains(said, "t0ken") || !strings.HasSuffix(said, "bad_data: … … shop") {
		t.Errorf("with another token it says %s", said)
	}
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if said := ask(); !strings.Contains(said, "the header Authorization cannot be sent") {
		t.Errorf("without a token it says %s", said)
	}
	other := open(t, &configv1.MetricSource{Url: server.URL, Tls: &configv1.Tls{CaFile: tlstest.NewAuthority(t, year).File()}}, nil, nil)
	if _, err := other.Ask(within(t, patience), metrics.Question{Query: "up", At: time.Now()}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with a certificate of somebody else: %v", err)
	}
}

// TestASecretThatIsCutIsNotTold: an error has only so much of what a source says, and of a
// secret that is cut there its beginning is not told either, however it is written.
func TestASecretThatIsCutIsNotTold(t *testing.T) {
	year := time.Now().AddDate(1, 0, 0)
	authority := tlstest.NewAuthority(t, year)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(`pa\ss"w0rd-of-the-source`), 0o600); err != nil {
		t.Fatal(err)
	}
	answers := map[string]func(w http.ResponseWriter, said string){
		"in a warning": func(w http.ResponseWriter, said string) {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "warnings": []string{said}}) //nolint:errchkjson // These are strings.
		},
		"as a name": func(w http.ResponseWriter, said string) {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", said: 1}) //nolint:errchkjson // These are strings.
		},
		"as a type": func(w http.ResponseWriter, said string) {
			w.Header().Set("Content-Type", said)
			w.WriteHeader(http.StatusOK)
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			before := 0
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				answer(w, strings.Repeat("x", before)+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			}))
			server.TLS = tlsOf(authority.Issue(year))
			server.StartTLS()
			defer server.Close()
			source := open(t, &configv1.MetricSource{Url: server.URL, TokenFile: token, Tls: &configv1.Tls{CaFile: authority.File()}}, nil, nil)
			for ; before < 80; before += 5 {
				_, err := source.Ask(within(t, patience), metrics.Question{Query: "up", At: time.Now()})
				if !errors.Is(err, metrics.ErrAnswer) || strings.Contains(err.Error(), `pa\`) {
					t.Errorf("after %d letters: %v", before, err)
				}
			}
		})
	}
}

func TestAQuestionThatIsCanceledSaysSo(t *testing.T) {
	asked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		silent(w, r)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(within(t, patience))
	go func() {
		<-asked
		cancel()
	}()
	if _, err := open(t, &configv1.MetricSource{Url: server.URL}, nil, nil).Ask(ctx, metrics.Question{Query: "up", At: time.Now()}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// silent reads the question, without which the server does not see that nobody waits any
// more, and says nothing.
func silent(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func trickle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{")
	_ = http.NewResponseController(w).Flush()
	silent(w, r)
}

func endless(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	block := []byte(strings.Repeat(" ", 64<<10))
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// hangUp answers with some bytes, which need not be HTTP, and closes the connection.
func hangUp(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.Close()
	}
}
