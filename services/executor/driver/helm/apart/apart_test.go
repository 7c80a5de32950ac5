package apart_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	loader "helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/helmtest"
)

func TestMain(m *testing.M) {
	apart.Obey()
	os.Exit(m.Run())
}

// few are limits that are reached soon, on a machine that has much to do.
var few = apart.Limits{Memory: 128 << 20, Processor: 2 * time.Second, Time: 5 * time.Minute}

// plenty are those of charts of which nobody expects anything, on such a machine.
var plenty = apart.Limits{Memory: apart.Default.Memory, Processor: time.Minute, Time: 5 * time.Minute}

// nobody is a server that is not asked.
type nobody struct{ *testing.T }

func (n nobody) Get(_ context.Context, uri, _ string) (apart.Reply, error) {
	n.Errorf("the server is asked for %s", uri)
	return apart.Reply{}, errors.New("nobody is there")
}

type answers func(ctx context.Context, uri string) (apart.Reply, error)

func (a answers) Get(ctx context.Context, uri, _ string) (apart.Reply, error) { return a(ctx, uri) }

// shop is a chart with templates by their names.
func shop(t *testing.T, files map[string]string) []byte {
	t.Helper()
	all := map[string]string{
		"shop/Chart.yaml":            "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"shop/values.yaml":           "greeting: hello\n",
		"shop/templates/config.yaml": "kind: ConfigMap\ndata: {greeting: {{ .Values.greeting }}}\n",
	}
	for name, text := range files {
		all["shop/"+name] = text
	}
	packed, err := helmtest.Archive(all)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// order makes the second revision of a release of a chart.
func order(chart []byte) apart.Order {
	return apart.Order{
		Chart: chart, Release: &apart.Release{Name: "eu", Namespace: "shop", Revision: 2},
		Capabilities: apart.Capabilities{Version: "v1.34.1", Major: "1", Minor: "34", APIVersions: common.VersionSet{"v1", "apps/v1"}},
	}
}

// rendered is what Helm makes of a literal chart in this process, by the names of its templates.
func rendered(t *testing.T, m apart.Made) map[string]string {
	t.Helper()
	out, err := engine.Render(m.Literal(), common.Values{"Values": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAChartWithoutAnEndIsEndedAndTheNextOneIsRead(t *testing.T) {
	template := func(text string) []byte { return shop(t, map[string]string{"templates/x.yaml": text}) }
	double := ""
	for i := range 40 {
		double += fmt.Sprintf(`{{ define "t%d" }}{{ include "t%d" . }}{{ include "t%d" . }}{{ end }}`, i, i+1, i+1)
	}
	// Each asks the next one twice, so that 40 of them ask 2 to the power of 40 times.
	schema := `"a40": {"type": "object"}`
	for i := range 40 {
		schema += fmt.Sprintf(`, "a%d": {"allOf": [{"$ref": "#/$defs/a%d"}, {"$ref": "#/$defs/a%d"}]}`, i, i+1, i+1)
	}
	aliases := func() string {
		long := "long: &long \"" + strings.Repeat("x", 1<<20) + "\"\n"
		return long + "many: [*long" + strings.Repeat(", *long", 5000) + "]\n"
	}
	// A chart has the next one ten times, each by another name.
	nested := map[string]string{}
	at := ""
	for depth := range 12 {
		name := fmt.Sprintf("c%d", depth+1)
		text := fmt.Sprintf("apiVersion: v2\nname: c%d\nversion: 1.0.0\n", depth)
		if depth == 0 {
			text = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
		}
		text += "dependencies:\n"
		for i := range 10 {
			text += fmt.Sprintf("- {name: %s, version: 1.0.0, alias: %s-%d}\n", name, name, i)
		}
		nested[at+"Chart.yaml"] = text
		at += "charts/" + name + "/"
	}
	nested[at+"Chart.yaml"] = "apiVersion: v2\nname: c12\nversion: 1.0.0\n"
	for name, chart := range map[string][]byte{
		"a list without an end":          template("{{ range until 1000000000 }}a: b\n{{ end }}"),
		"a range without an end":         template("{{ range 1000000000000 }}{{ end }}"),
		"an output without an end":       template("{{ range 1000000000000 }}a: b\n{{ end }}"),
		"a text without an end":          template(`a: {{ repeat 1000000000 "x" }}`),
		"a text of texts":                template(`a: {{ repeat 3000000 "x" }}{{ repeat 3000000 "x" }}{{ repeat 3000000 "x" }}`),
		"a template that has itself":     template(`{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`),
		"templates that double":          template(double + `{{ define "t40" }}{{ end }}{{ include "t0" . }}`),
		"a text that is a template":      template(`{{ define "x" }}{{ tpl "{{ include \"x\" . }}{{ include \"x\" . }}" . }}{{ end }}{{ include "x" . }}`),
		"random text without an end":     template("a: {{ randAlphaNum 2000000000 }}"),
		"aliases in what it makes":       template(aliases()),
		"aliases in its values":          shop(t, map[string]string{"values.yaml": aliases()}),
		"a schema that doubles":          shop(t, map[string]string{"values.schema.json": `{"$ref": "#/$defs/a0", "$defs": {` + schema + `}}`}),
		"charts that are ten each":       shop(t, nested),
		"keys that take much to be made": template(`{{ range 1000000 }}{{ genPrivateKey "rsa" }}{{ end }}`),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := apart.Make(t.Context(), few, order(chart), nobody{t})
			runtime.ReadMemStats(&after)
			t.Log(err)
			if !errors.Is(err, driver.ErrInvalid) && !errors.Is(err, driver.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("it took %d bytes of memory here", n)
			}
			made, err := apart.Make(t.Context(), plenty, order(shop(t, nil)), nobody{t})
			if err != nil || !strings.Contains(rendered(t, made)["shop/templates/config.yaml"], "greeting: hello") {
				t.Errorf("the next one is %v, %v", made, err)
			}
		})
	}
}

// What is wrong is said: by it, people find the line.
func TestWhatIsWrongWithAChartIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		limit func(*apart.Limits)
		want  string
	}{
		"time":       {map[string]string{"templates/x.yaml": "{{ range 1000000000000 }}{{ end }}"}, func(l *apart.Limits) { l.Processor = time.Second }, "more than 1s of a processor"},
		"memory":     {map[string]string{"templates/x.yaml": `{{ repeat 1000000000 "x" }}`}, nil, "more than 128 MiB of memory"},
		"size":       {map[string]string{"templates/x.yaml": `{{ repeat 9000000 "x" }}`}, nil, "what it makes measures more than 8388608 bytes"},
		"syntax":     {map[string]string{"templates/x.yaml": "a\n{{ nothing }}"}, nil, `templates/x.yaml:2): function "nothing" not defined`},
		"a demand":   {map[string]string{"templates/x.yaml": `{{ fail "give it a host" }}`}, nil, "give it a host"},
		"a long one": {map[string]string{"templates/x.yaml": `{{ fail (repeat 3000000 "x") }}`}, nil, "what it is refused for measures more than 65536 bytes"},
		"a schema":   {map[string]string{"values.schema.json": `{"required": ["host"]}`}, nil, "missing property 'host'"},
		"a server":   {map[string]string{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\nkubeVersion: \">=2.0.0\"\n"}, nil, "requires Kubernetes >=2.0.0, and the server is v1.34.1"},
	} {
		t.Run(name, func(t *testing.T) {
			l := few
			if test.limit != nil {
				test.limit(&l)
			}
			_, err := apart.Make(t.Context(), l, order(shop(t, test.files)), nobody{t})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// A process that waits for the server is ended by the time that it has.
func TestAServerThatDoesNotAnswerEndsTheProcess(t *testing.T) {
	chart := shop(t, map[string]string{"templates/x.yaml": `a: {{ lookup "v1" "Secret" "shop" "key" }}`})
	l := few
	l.Time = 2 * time.Second
	_, err := apart.Make(t.Context(), l, order(chart), answers(func(ctx context.Context, _ string) (apart.Reply, error) {
		<-ctx.Done()
		return apart.Reply{}, ctx.Err()
	}))
	if !errors.Is(err, argv.ErrKilled) || !strings.Contains(err.Error(), "not there in time") {
		t.Errorf("got %v", err)
	}
}

// Whoever may ask for a preview may ask for many, of charts that take all the time that they may: a
// change, or its way back, waits for one of them at most.
func TestAChangeWaitsBehindOnePreviewAtMost(t *testing.T) {
	asks := shop(t, map[string]string{"templates/x.yaml": `{{ lookup "v1" "Secret" "shop" "key" }}`})
	begun, goOn := make(chan string, 8), make(chan struct{})
	var all sync.WaitGroup
	begin := func(who string, ctx context.Context) {
		all.Go(func() {
			first := true
			_, err := apart.Make(ctx, few, order(asks), answers(func(context.Context, string) (apart.Reply, error) {
				if first {
					begun <- who
					<-goOn
				}
				first = false
				return apart.Reply{Status: 404, Type: "application/json", Body: []byte(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`)}, nil
			}))
			if err != nil {
				t.Errorf("%s: %v", who, err)
			}
		})
	}
	waiting := func(n int) {
		for apart.Waiting() != n {
			if t.Context().Err() != nil {
				t.Fatal("nobody waits")
			}
			runtime.Gosched()
		}
	}
	begin("a preview", t.Context())
	if got := <-begun; got != "a preview" {
		t.Fatal(got)
	}
	for n := range 3 {
		begin("another preview", t.Context())
		waiting(n + 1)
	}
	begin("a change", apart.ForAChange(t.Context()))
	waiting(4)
	close(goOn)
	if got := <-begun; got != "a change" {
		t.Errorf("%s comes before a change", got)
	}
	all.Wait()
}

// Questions of a chart are answered by who started the process: it has neither the address of the server
// nor who it would be there.
func TestAChartAsksTheServerThroughWhoStartedIt(t *testing.T) {
	chart := shop(t, map[string]string{"templates/x.yaml": `{{ (lookup "v1" "ConfigMap" "shop" "host").data.host }} {{ lookup "v1" "ConfigMap" "shop" "none" }}`})
	var asked []string
	made, err := apart.Make(t.Context(), few, order(chart), answers(func(_ context.Context, uri string) (apart.Reply, error) {
		uri, _, _ = strings.Cut(uri, "?")
		asked = append(asked, uri)
		said := apart.Reply{Status: 200, Type: "application/json"}
		switch uri {
		case "/api/v1":
			said.Body = []byte(`{"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "configmaps", "namespaced": true, "kind": "ConfigMap", "verbs": ["get"]}]}`)
		case "/api/v1/namespaces/shop/configmaps/host":
			said.Body = []byte(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "host"}, "data": {"host": "shop.example"}}`)
		default:
			said.Status, said.Body = 404, []byte(`{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}`)
		}
		return said, nil
	}))
	if err != nil {
		t.Fatalf("%v, asked for %v", err, asked)
	}
	if got := rendered(t, made)["shop/templates/x.yaml"]; got != "shop.example map[]" {
		t.Errorf("it made %q", got)
	}
	want := []string{"/api/v1", "/api/v1/namespaces/shop/configmaps/host", "/api/v1", "/api/v1/namespaces/shop/configmaps/none"}
	if !slices.Equal(asked, want) {
		t.Errorf("the server was asked for %v", asked)
	}
}

func TestAChartThatAsksWithoutAnEndIsRefused(t *testing.T) {
	chart := shop(t, map[string]string{"templates/x.yaml": `{{ range 1000000 }}{{ lookup "v1" "Secret" "shop" "" }}{{ end }}`})
	asked := 0
	_, err := apart.Make(t.Context(), plenty, order(chart), answers(func(context.Context, string) (apart.Reply, error) {
		asked++
		return apart.Reply{Status: 200, Type: "application/json", Body: []byte(`{"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "secrets", "namespaced": true, "kind": "Secret", "verbs": ["list"]}], "items": []}`)}, nil
	}))
	if err == nil || !strings.Contains(err.Error(), "more than 2000 times") || asked > 2000 {
		t.Errorf("it asked %d times: %v", asked, err)
	}
}

// What a chart makes is placed to the letter by Helm in this process, for which two braces begin an
// instruction: as many of them as there may be make no more of them.
func TestWhatLooksLikeInstructionsIsPlacedToTheLetterAndTakesNoMoreMemory(t *testing.T) {
	few := few
	few.Processor = 10 * time.Second
	for name, template := range map[string]string{
		"braces":    `{{ printf "a: %s" (repeat 4000000 "{" | quote) }}`,
		"all kinds": "a: |\n  {{ \"{{ x }} {{- y -}} {{{ `z` }}} {{/* c */}} \\\"q\\\" \\\\ é\\u2028\" }}\n{{ printf \"%c\" 7 }}\r\n\t{{ \"/v8=\" | b64dec }}\n",
		"none":      "a: b\n",
	} {
		t.Run(name, func(t *testing.T) {
			made, err := apart.Make(t.Context(), few, order(shop(t, map[string]string{"templates/x.yaml": template})), nobody{t})
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := rendered(t, made)
			runtime.ReadMemStats(&after)
			if want := made.File("shop/templates/x.yaml"); want == "" || got["shop/templates/x.yaml"] != want {
				t.Errorf("%d bytes are placed of %d", len(got["shop/templates/x.yaml"]), len(want))
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 128<<20 {
				t.Errorf("it took %d MiB of memory here", n>>20)
			}
		})
	}
}

// A chart that nobody here wrote makes what Helm makes of it in one process, and so does its literal one.
func TestAThirdPartyChartMakesTheSameAsInOneProcess(t *testing.T) {
	packed, err := helmtest.Archive(helmtest.Podinfo(t))
	if err != nil {
		t.Fatal(err)
	}
	o := order(packed)
	o.Values = map[string]any{"replicaCount": 3, "ingress": map[string]any{"enabled": true}, "ui": map[string]any{"message": "{{ braces }} {{{ more }}}"}}
	made, err := apart.Make(t.Context(), plenty, o, nobody{t})
	if err != nil {
		t.Fatal(err)
	}
	files, err := archive.LoadArchiveFiles(strings.NewReader(string(packed)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		t.Fatal(err)
	}
	if err := chartutil.ProcessDependencies(c, o.Values); err != nil {
		t.Fatal(err)
	}
	values, err := util.ToRenderValues(c, o.Values, common.ReleaseOptions{Name: "eu", Namespace: "shop", Revision: 2, IsUpgrade: true}, &common.Capabilities{
		KubeVersion: common.KubeVersion{Version: "v1.34.1", Major: "1", Minor: "34"}, APIVersions: o.Capabilities.APIVersions,
		HelmVersion: common.DefaultCapabilities.HelmVersion,
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := engine.Render(c, values)
	if err != nil {
		t.Fatal(err)
	}
	got := rendered(t, made)
	// The names of its tests are made up each time.
	random := regexp.MustCompile(`-test-[a-z0-9]{5}\b`)
	for _, all := range []map[string]string{got, want} {
		for name, text := range all {
			all[name] = random.ReplaceAllString(text, "-test-random")
		}
	}
	if len(want) < 10 || !maps.Equal(got, want) {
		for name, text := range want {
			if got[name] != text {
				t.Errorf("%s: it made\n%s\nwant\n%s", name, got[name], text)
			}
		}
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	if made.Chart.Name() != "podinfo" || len(made.Chart.Templates) != len(c.Templates) || len(made.Chart.Values) != len(c.Values) {
		t.Errorf("kept is chart %s of %d templates", made.Chart.Name(), len(made.Chart.Templates))
	}
}
