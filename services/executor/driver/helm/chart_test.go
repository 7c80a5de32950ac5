package helm_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/helmtest"
)

// files are those of a chart by their names.
type files map[string]string

// chart is a chart of the files.
func chart(t testing.TB, all files) []byte {
	t.Helper()
	return archived(all)
}

// archived is an archive of files.
func archived(all files, more ...*tar.Header) []byte {
	text, err := helmtest.Archive(all, more...)
	if err != nil {
		panic(err) // A test that makes an impossible archive.
	}
	return text
}

// unhurried are the limits of a chart on a machine that has much else to do: what is tested is what a chart
// comes to, and not when.
func unhurried() apart.Limits {
	l := apart.Default
	l.Time = 5 * time.Minute
	return l
}

// with is a chart of one ConfigMap, with other files beside it or instead.
func with(other files) files {
	all := files{
		"shop/Chart.yaml":            "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"shop/values.yaml":           "greeting: hello\n",
		"shop/templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shop}\ndata: {greeting: {{ .Values.greeting | quote }}}\n",
	}
	for name, text := range other {
		all["shop/"+name] = text
	}
	return all
}

func charted(n int, content []byte) driver.Plan {
	p := driver.Plan{Target: "shop-1", Version: fmt.Sprintf("%d.0.0", n), Artifact: drivertest.File("shop", fmt.Sprintf("shop-%d.tgz", n), content)}
	p.Artifact.Kind = releasev1.ArtifactKind_ARTIFACT_KIND_HELM_CHART
	return p
}

// offline is a driver whose server nobody reaches.
func offline(t testing.TB, c *configv1.HelmDriver) *helm.Driver {
	t.Helper()
	folder := t.TempDir()
	kubeconfig := filepath.Join(folder, "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a, namespace: shop}}]\n" +
		"clusters: [{name: a, cluster: {server: \"https://127.0.0.1:1\"}}]\nusers: [{name: a, user: {token: x}}]\n"
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c.KubeconfigFile, c.Namespace = kubeconfig, "shop"
	d, err := helm.New(c, helm.Options{Target: "shop-1", Limits: unhurried()})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Helm's reader takes archives as they come; what a release takes is bounded before it has them.
func TestAChartThatIsABombOrLeadsOutIsRefusedBeforeHelmReadsIt(t *testing.T) {
	zeros := strings.Repeat("\x00", 8<<20)
	special := func(h *tar.Header) []byte { return archived(with(nil), h) }
	many := with(nil)
	for i := range 2100 {
		many[fmt.Sprintf("shop/files/%d", i)] = ""
	}
	deep := chart(t, with(nil))
	for range 6 {
		deep = chart(t, with(files{"charts/shop-1.0.0.tgz": string(deep)}))
	}
	crowd := with(nil)
	for i := range 30 {
		crowd[fmt.Sprintf("shop/charts/inner%d-1.0.0.tgz", i)] = string(chart(t, files{
			"inner/Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: inner%d\nversion: 1.0.0\n", i), "inner/a": zeros[:900<<10],
		}))
	}
	aliases := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		aliases += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 8), i)
	}
	inner := func(values string) string {
		return string(chart(t, files{"inner/Chart.yaml": "apiVersion: v2\nname: inner\nversion: 1.0.0\n", "inner/values.yaml": values}))
	}
	// A text that packs badly, so that nothing but its aliases is much.
	var long strings.Builder
	long.WriteString("long: &long \"")
	for i := range uint64(50_000) {
		fmt.Fprintf(&long, "%016x", i*0x9e3779b97f4a7c15)
	}
	long.WriteString("\"\nmany: [*long" + strings.Repeat(", *long", 5000) + "]\n")
	for name, content := range map[string][]byte{
		"a long text very often in values":       chart(t, with(files{"values.yaml": long.String()})),
		"values without an end":                  chart(t, with(files{"values.yaml": aliases})),
		"values without an end in a chart of it": chart(t, with(files{"charts/inner-1.0.0.tgz": inner(aliases)})),
		"a Chart.yaml without an end":            chart(t, with(files{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n" + aliases})),
		"a value twice":                          chart(t, with(files{"values.yaml": "greeting: hello\ngreeting: bye\n"})),
		"a value twice in a chart of it":         chart(t, with(files{"charts/inner-1.0.0.tgz": inner("a: b\na: c\n")})),
		"a value twice in a folder of it":        chart(t, with(files{"charts/inner/Chart.yaml": "apiVersion: v2\nname: inner\nversion: 1.0.0\n", "charts/inner/values.yaml": "a: b\na: c\n"})),
		"a version twice":                        chart(t, with(files{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\nversion: 2.0.0\n"})),
		"a bomb of many charts":                  chart(t, crowd),
		"a bomb by its ratio":                    chart(t, with(files{"templates/zeros.yaml": zeros})),
		"a bomb by its size":                     chart(t, with(files{"a": zeros, "b": zeros, "c": zeros})),
		"a bomb in a chart of a chart":           chart(t, with(files{"charts/inner-1.0.0.tgz": string(chart(t, files{"inner/Chart.yaml": zeros}))})),
		"charts in charts":                       deep,
		"very many files":                        chart(t, many),
		"a file above":                           chart(t, files{"shop/../../etc/passwd": "x", "shop/Chart.yaml": "x"}),
		"an absolute file":                       chart(t, files{"/etc/passwd": "x"}),
		"a link":                                 special(&tar.Header{Name: "shop/templates/a.yaml", Typeflag: tar.TypeSymlink, Linkname: "config.yaml"}),
		"a link that leads out":                  special(&tar.Header{Name: "shop/a", Typeflag: tar.TypeSymlink, Linkname: "../../../etc/passwd"}),
		"a hard link":                            special(&tar.Header{Name: "shop/a", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}),
		"a device":                               special(&tar.Header{Name: "shop/a", Typeflag: tar.TypeChar}),
		"a name twice":                           special(&tar.Header{Name: "shop/Chart.yaml", Mode: 0o644}),
		"names of another system":                chart(t, with(files{"..\\..\\a": "x"})),
		"no archive":                             []byte("apiVersion: v1\n"),
		"no chart":                               chart(t, files{"shop/values.yaml": "a: b\n"}),
		"half an archive":                        deep[:len(deep)/2],
		"a library":                              chart(t, with(files{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\ntype: library\n"})),
		"a name that does not print":             chart(t, with(files{"Chart.yaml": "apiVersion: v2\nname: \"shop\\u0007\"\nversion: 1.0.0\n"})),
		"kinds of its own":                       chart(t, with(files{"crds/a.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b.c}\n"})),
		"a chart that is not there":              chart(t, with(files{"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\ndependencies: [{name: other, version: 1.0.0}]\n"})),
		"a schema that leads elsewhere":          chart(t, with(files{"values.schema.json": `{"$ref": "http://169.254.169.254/latest"}`})),
		"a schema of one elsewhere":              chart(t, with(files{"values.schema.json": `{"$schema": "http://169.254.169.254/json-schema.org/"}`})),
		"a schema in a file elsewhere":           chart(t, with(files{"values.schema.json": `{"properties": {"a": {"$ref": "file:///etc/passwd"}}}`})),
	} {
		t.Run(name, func(t *testing.T) {
			room := t.TempDir()
			t.Setenv("TMPDIR", room)
			d := offline(t, &configv1.HelmDriver{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := d.Diff(t.Context(), charted(1, content))
			runtime.ReadMemStats(&after)
			// Of all of it together, so that at no time it was more.
			if n := after.TotalAlloc - before.TotalAlloc; n > 256<<20 {
				t.Errorf("it took %d bytes of memory", n)
			}
			if left, failed := os.ReadDir(room); failed != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, failed)
			}
			if !errors.Is(err, artifact.ErrArchive) && !errors.Is(err, driver.ErrInvalid) && !errors.Is(err, driver.ErrUnsupported) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOnlyChartsAreTaken(t *testing.T) {
	d := offline(t, &configv1.HelmDriver{})
	plan := charted(1, chart(t, with(nil)))
	plan.Artifact.Kind = releasev1.ArtifactKind_ARTIFACT_KIND_FILE
	if _, err := d.Diff(t.Context(), plan); !errors.Is(err, driver.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

// What values are made of is checked without quoting it.
func TestValuesThatAreNoneAreRefusedByTheirField(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		c    *configv1.HelmDriver
		with map[string]string
		want string
	}{
		"no file":      {&configv1.HelmDriver{ValuesFile: "/none"}, nil, "values_file"},
		"no map":       {&configv1.HelmDriver{ValuesFile: file("list", "- hunter2hunter2\n")}, nil, "values_file: is no map"},
		"a key twice":  {&configv1.HelmDriver{ValuesFile: file("twice", "a: hunter2hunter2\na: b\n")}, nil, "values_file"},
		"a large file": {&configv1.HelmDriver{ValuesFile: file("large", strings.Repeat("# x\n", 100_000))}, nil, "values_file: more than"},
		"a number that is none": {
			&configv1.HelmDriver{Parameters: []*configv1.HelmParameter{{Parameter: "n", Value: "replicas", Integer: true}}},
			map[string]string{"n": "3; rm -rf /"},
			"parameter n: must be a whole number",
		},
		"a path through a text": {
			&configv1.HelmDriver{ValuesFile: file("text", "a: b\n"), Parameters: []*configv1.HelmParameter{{Parameter: "n", Value: "a.b"}}},
			map[string]string{"n": "x"},
			"parameter n: value a.b: a is no map",
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan := charted(1, chart(t, with(nil)))
			plan.Parameters = test.with
			_, err := offline(t, test.c).Diff(t.Context(), plan)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
