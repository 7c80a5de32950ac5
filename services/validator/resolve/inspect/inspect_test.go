package inspect_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/services/validator/resolve/inspect"
)

// entry is one entry of an archive; a name that ends with a slash is a folder.
type entry struct {
	name, body string
	change     func(*tar.Header)
	mode       fs.FileMode // in a zip
}

func tarGz(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.body)), Typeflag: tar.TypeReg}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if e.change != nil {
			e.change(h)
		}
		if err := archive.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(archive, e.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.mode != 0 {
			header.SetMode(e.mode)
		}
		w, err := archive.CreateHeader(header)
		if err == nil {
			_, err = io.WriteString(w, e.body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// overlapping is a zip that has one file, and n names for it in its directory.
func overlapping(t testing.TB, n int) []byte {
	t.Helper()
	one := zipOf(t, entry{name: "zero0000", body: strings.Repeat("\x00", 1<<20)})
	at := bytes.Index(one, []byte("PK\x01\x02"))
	end := bytes.Index(one, []byte("PK\x05\x06"))
	record := one[at:end]
	out := bytes.Clone(one[:at])
	for i := range n {
		out = append(out, bytes.Replace(record, []byte("zero0000"), fmt.Appendf(nil, "%08x", i), 1)...)
	}
	tail := bytes.Clone(one[end:])
	binary.LittleEndian.PutUint16(tail[8:], uint16(n)) //nolint:gosec // That many a directory says modulo 1<<16, and so it is read.
	copy(tail[10:12], tail[8:10])
	binary.LittleEndian.PutUint32(tail[12:], uint32(n*len(record))) //nolint:gosec // Less than the most that a zip measures.
	return append(out, tail...)
}

// nested packs an archive into archives.
func nested(t testing.TB, deep int, inner []byte) []byte {
	t.Helper()
	for range deep {
		inner = tarGz(t, entry{name: "inner.tgz", body: string(inner)})
	}
	return inner
}

func linkTo(to string, kind byte) func(*tar.Header) {
	return func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = kind, to, 0 }
}

func TestArchivesThatAreRefusedWhole(t *testing.T) {
	good := entry{name: "a/b.txt", body: "b"}
	many := make([]entry, 10_001)
	for i := range many {
		many[i] = entry{name: fmt.Sprint(i)}
	}
	for name, body := range map[string][]byte{
		"a way up":                          tarGz(t, good, entry{name: "../etc/passwd", body: "x"}),
		"a way up, later":                   tarGz(t, entry{name: "a/../../b", body: "x"}),
		"an absolute path":                  tarGz(t, entry{name: "/etc/passwd", body: "x"}),
		"a link out":                        tarGz(t, good, entry{name: "a/l", change: linkTo("../../x", tar.TypeSymlink)}),
		"a link to the root":                tarGz(t, good, entry{name: "l", change: linkTo("/etc", tar.TypeSymlink)}),
		"a hard link":                       tarGz(t, good, entry{name: "l", change: linkTo("a/b.txt", tar.TypeLink)}),
		"a device":                          tarGz(t, good, entry{name: "null", change: linkTo("", tar.TypeChar)}),
		"a name twice":                      tarGz(t, good, good),
		"a name twice, once with a dot":     tarGz(t, good, entry{name: "./a/b.txt", body: "c"}),
		"no name":                           tarGz(t, entry{name: "./", body: ""}, entry{name: ".", body: "x"}),
		"a control character":               tarGz(t, entry{name: "a\x1b[2J", body: "x"}),
		"a backslash":                       tarGz(t, entry{name: `a\..\b`, body: "x"}),
		"setuid":                            tarGz(t, entry{name: "su", body: "x", change: func(h *tar.Header) { h.Mode = 0o4755 }}),
		"too many entries":                  tarGz(t, many...),
		"a bomb":                            tarGz(t, entry{name: "zeros", body: strings.Repeat("\x00", 4<<20)}),
		"a bomb as a zip":                   zipOf(t, entry{name: "zeros", body: strings.Repeat("\x00", 4<<20)}),
		"a bomb of entries over each other": overlapping(t, 3000),
		"a device in a zip":                 zipOf(t, entry{name: "null", mode: fs.ModeDevice | 0o644}),
		"a link in a zip":                   zipOf(t, entry{name: "l", body: "../../etc/passwd", mode: fs.ModeSymlink | 0o777}),
		"setuid in a zip":                   zipOf(t, entry{name: "su", body: "x", mode: fs.ModeSetuid | 0o755}),
		"a control character in a zip":      zipOf(t, entry{name: "a\x1b[2J", body: "x"}),
		"a way up in a zip":                 zipOf(t, entry{name: "../x", body: "x"}),
		"an absolute path in a zip":         zipOf(t, entry{name: "/x", body: "x"}),
		"a name twice in a zip":             zipOf(t, good, good),
		"a broken tar.gz":                   tarGz(t, good)[:30],
		"a broken zip":                      zipOf(t, good)[:30],
		"no archive":                        []byte("hello"),
		"nothing":                           nil,
	} {
		if files, err := inspect.Archive(bytes.NewReader(body)); !errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s: %d files, %v", name, files, err)
		}
	}
	for name, body := range map[string][]byte{
		"a tar.gz": tarGz(t, entry{name: "a/"}, good, entry{name: "a/l", change: linkTo("b.txt", tar.TypeSymlink)}),
		"a zip":    zipOf(t, entry{name: "a/"}, good),
		// Nobody unpacks what lies in it.
		"archives in archives": nested(t, 9, tarGz(t, entry{name: "zeros", body: strings.Repeat("\x00", 4<<20)})),
	} {
		if files, err := inspect.Archive(bytes.NewReader(body)); err != nil || files != 1 {
			t.Errorf("%s: %d files, %v", name, files, err)
		}
	}
}

// TestADirectoryOfAZipIsCountedBeforeItIsRead: a zip within its bounds has room for half a million
// entries, each of which takes a dozen times as much in memory.
func TestADirectoryOfAZipIsCountedBeforeItIsRead(t *testing.T) {
	body := overlapping(t, 500_000)
	if len(body) > inspect.MaxZip {
		t.Fatalf("%d bytes, which is refused for its size", len(body))
	}
	var err error
	made := testing.AllocsPerRun(1, func() { _, err = inspect.Archive(bytes.NewReader(body)) })
	if !errors.Is(err, inspect.ErrKind) || !strings.Contains(err.Error(), "entries") || made > 10_000 {
		t.Errorf("%v after %v allocations", err, made)
	}
	if _, err := inspect.Archive(bytes.NewReader(overlapping(t, 20_000))); !errors.Is(err, inspect.ErrKind) || !strings.Contains(err.Error(), "entries") {
		t.Errorf("twice as many as may be: %v", err)
	}
}

// TestEntriesOfAZipWithinAZipAreNotItsOwn: an application that brings its libraries along, each a zip
// that is stored as it is.
func TestEntriesOfAZipWithinAZipAreNotItsOwn(t *testing.T) {
	names := make([]entry, 6000)
	for i := range names {
		names[i] = entry{name: fmt.Sprint(i)}
	}
	library := zipOf(t, names...)
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, name := range []string{"lib/a.jar", "lib/b.jar"} {
		w, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = w.Write(library)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if files, err := inspect.Archive(&out); files != 2 || err != nil {
		t.Errorf("%d files, %v", files, err)
	}
}

// failing is a disk that breaks.
type failing struct{}

var errDisk = errors.New("input/output error")

func (failing) Read([]byte) (int, error) { return 0, errDisk }

func TestADiskThatBreaksIsNoVerdict(t *testing.T) {
	half := tarGz(t, entry{name: "a", body: strings.Repeat("abc", 1000)})
	for name, content := range map[string]io.Reader{"at once": failing{}, "later": io.MultiReader(bytes.NewReader(half[:40]), failing{})} {
		if _, err := inspect.Archive(content); !errors.Is(err, errDisk) || errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const chartYAML = "apiVersion: v2\nname: shop\nversion: 1.4.2\nappVersion: \"7.0\"\n"

func TestCharts(t *testing.T) {
	template := entry{name: "shop/templates/web.yaml", body: "kind: Deployment"}
	chart, err := inspect.HelmChart(bytes.NewReader(tarGz(t, entry{name: "shop/Chart.yaml", body: chartYAML}, template)))
	if err != nil || chart.Title() != "chart shop 1.4.2 of 7.0" {
		t.Fatalf("%v, %v", chart, err)
	}
	for _, test := range []struct {
		location, tag string
		fits          bool
	}{
		{"charts/shop-1.4.2.tgz", "", true},
		{"charts/shop-1.4.3.tgz", "", false},
		{"charts/web-1.4.2.tgz", "", false},
		{"registry.example/charts/shop", "", true},
		{"registry.example/charts/shop", "1.4.2", true},
		{"registry.example/charts/shop", "1.4.3", false},
		{"registry.example/charts/web", "1.4.2", false},
	} {
		if err := chart.Named(test.location, test.tag); (err == nil) != test.fits || err != nil && !errors.Is(err, inspect.ErrKind) {
			t.Errorf("at %s:%s: %v", test.location, test.tag, err)
		}
	}
	for name, entries := range map[string][]entry{
		"no Chart.yaml":             {template},
		"another name":              {{name: "shop/Chart.yaml", body: strings.Replace(chartYAML, "name: shop", "name: web", 1)}, template},
		"a name that is none":       {{name: "shop/Chart.yaml", body: strings.Replace(chartYAML, "name: shop", "name: ../shop", 1)}, template},
		"a version that is none":    {{name: "shop/Chart.yaml", body: strings.Replace(chartYAML, "1.4.2", "latest", 1)}, template},
		"half a version":            {{name: "shop/Chart.yaml", body: strings.Replace(chartYAML, "1.4.2", "1.4", 1)}, template},
		"an old apiVersion":         {{name: "shop/Chart.yaml", body: strings.Replace(chartYAML, "v2", "v9", 1)}, template},
		"a key twice":               {{name: "shop/Chart.yaml", body: chartYAML + "name: web\n"}, template},
		"a library":                 {{name: "shop/Chart.yaml", body: chartYAML + "type: library\n"}, template},
		"no templates":              {{name: "shop/Chart.yaml", body: chartYAML}},
		"two folders":               {{name: "shop/Chart.yaml", body: chartYAML}, template, {name: "web/x", body: "x"}},
		"a file beside the folder":  {{name: "shop/Chart.yaml", body: chartYAML}, template, {name: "x", body: "x"}},
		"no YAML":                   {{name: "shop/Chart.yaml", body: "{"}, template},
		"a Chart.yaml without end":  {{name: "shop/Chart.yaml", body: chartYAML + strings.Repeat("# abcdefgh\n", 1<<17)}, template},
		"an appVersion with colors": {{name: "shop/Chart.yaml", body: strings.Replace(chartYAML, "7.0", `\e[31m`, 1)}, template},
	} {
		if got, err := inspect.HelmChart(bytes.NewReader(tarGz(t, entries...))); !errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// plan is the part of a plan's message that says what it is, with changes to resources.
func plan(format uint64, version string, changes ...change) string {
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, format)
	for _, c := range changes {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendBytes(b, c.saved())
	}
	b = protowire.AppendTag(b, 14, protowire.BytesType)
	return string(protowire.AppendString(b, version))
}

func TestTerraformPlans(t *testing.T) {
	state, config := entry{name: "tfstate", body: `{"version":4,"serial":7}`}, entry{name: "tfconfig/m-/main.tf", body: "terraform {}"}
	good := entry{name: "tfplan", body: plan(3, "1.9.5")}
	if p, err := inspect.TerraformPlan(bytes.NewReader(zipOf(t, good, state, config))); err != nil || p.Version != "1.9.5" {
		t.Fatalf("%v, %v", p, err)
	}
	for name, body := range map[string][]byte{
		"no plan":                     zipOf(t, state, config),
		"no state":                    zipOf(t, good, config),
		"no configuration":            zipOf(t, good, state),
		"a plan of another format":    zipOf(t, entry{name: "tfplan", body: plan(2, "1.9.5")}, state, config),
		"a plan by nothing":           zipOf(t, entry{name: "tfplan", body: plan(3, "")}, state, config),
		"a plan that is a text":       zipOf(t, entry{name: "tfplan", body: "Plan: 3 to add"}, state, config),
		"a plan of a run that failed": zipOf(t, entry{name: "tfplan", body: string(protowire.AppendVarint(protowire.AppendTag([]byte(plan(3, "1.9.5")), 20, protowire.VarintType), 1))}, state, config),
		"an action that is not known": zipOf(t, entry{name: "tfplan", body: plan(3, "1.9.5", change{address: "a.b", action: 4})}, state, config),
		"a change of nothing":         zipOf(t, entry{name: "tfplan", body: plan(3, "1.9.5", change{action: 5})}, state, config),
		"a state of another version":  zipOf(t, good, entry{name: "tfstate", body: `{"version":3}`}, config),
		"a state that is none":        zipOf(t, good, entry{name: "tfstate", body: `x`}, config),
		"the configuration, unzipped": []byte("terraform {}"),
		"a state without an end":      zipOf(t, good, entry{name: "tfstate", body: `{"a":"` + strings.Repeat("a", 4<<20) + `"}`}, config),
	} {
		if p, err := inspect.TerraformPlan(bytes.NewReader(body)); !errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestTerraformModules(t *testing.T) {
	for name, test := range map[string]struct {
		body  []byte
		files int
	}{
		"at the top":          {tarGz(t, entry{name: "main.tf", body: "x"}, entry{name: "vars.tf.json", body: "{}"}, entry{name: "mod/a.tf", body: "x"}), 2},
		"in one folder":       {zipOf(t, entry{name: "net/main.tf", body: "x"}, entry{name: "net/README.md", body: "x"}), 1},
		"no .tf at all":       {tarGz(t, entry{name: "README.md", body: "x"}), 0},
		"only deeper":         {tarGz(t, entry{name: "net/mod/main.tf", body: "x"}), 0},
		"in one of two":       {tarGz(t, entry{name: "net/main.tf", body: "x"}, entry{name: "doc/a.md", body: "x"}), 0},
		"in a folder of many": {tarGz(t, entry{name: "README.md", body: "x"}, entry{name: "net/main.tf", body: "x"}), 0},
	} {
		files, err := inspect.TerraformModule(bytes.NewReader(test.body))
		if files != test.files || (err == nil) != (test.files > 0) || err != nil && !errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s: %d files, %v", name, files, err)
		}
	}
}

func TestConfigurations(t *testing.T) {
	for _, good := range []struct {
		location, body string
		documents      int
	}{
		{"a.yaml", "a: 1\n---\nb: [1, 2]\n", 2}, {"a.yml", "- 1\n", 1}, {"a.json", "{\"a\": {\"a\": [1, {}]}}\n", 1}, {"a.yaml", "a: &x {b: 1}\nc: *x\n", 1},
	} {
		if n, err := inspect.Configuration(good.location, strings.NewReader(good.body)); err != nil || n != good.documents {
			t.Errorf("%q: %d, %v", good.body, n, err)
		}
	}
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	for name, bad := range map[string][2]string{
		"of another name":             {"a.toml", "a = 1"},
		"empty":                       {"a.yaml", ""},
		"a text":                      {"a.yaml", "hello"},
		"a key twice":                 {"a.yaml", "a: 1\na: 2\n"},
		"a key twice in the second":   {"a.yaml", "a: 1\n---\na: 1\na: 2\n"},
		"aliases without an end":      {"a.yaml", bomb},
		"an anchor that is not there": {"a.yaml", "a: *b"},
		"no UTF-8":                    {"a.yaml", "a: \xff"},
		"too large":                   {"a.yaml", "a: " + strings.Repeat("x", 1<<20)},
		"too many documents":          {"a.yaml", strings.Repeat("a: 1\n---\n", 1001)},
		"a key twice in JSON":         {"a.json", `{"a":{"b":1,"b":2}}`},
		"half of JSON":                {"a.json", `{"a":1`},
		"two of JSON":                 {"a.json", `{} {}`},
		"a number":                    {"a.json", `7`},
		"JSON without a bottom":       {"a.json", strings.Repeat("[", 101) + strings.Repeat("]", 101)},
		"YAML called JSON":            {"a.json", "a: 1"},
	} {
		if n, err := inspect.Configuration(bad[0], strings.NewReader(bad[1])); !errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// FuzzNothingOfAnArtifactBreaksAnything holds that whatever an artifact holds, looking at
// it ends, and says that it is of its kind or that it is not.
func FuzzNothingOfAnArtifactBreaksAnything(f *testing.F) {
	shaketest.Add(f, tarGz(f, entry{name: "shop/Chart.yaml", body: chartYAML}))
	shaketest.Add(f, zipOf(f, entry{name: "tfplan", body: plan(3, "1.9.5")}))
	shaketest.Add(f, zipOf(f, entry{name: "tfplan", body: plan(3, "1.9.5", change{address: "a.b", action: 6, deposed: "0a"})},
		entry{name: "tfstate", body: `{"version":4}`}, entry{name: "tfconfig/main.tf", body: "terraform {}"}))
	shaketest.Add(f, []byte(planJSON))
	shaketest.Add(f, []byte("a: &a [*a]\n"))
	shaketest.Add(f, []byte(`{"a":[{"b":1}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		check := func(err error) {
			if err != nil && !errors.Is(err, inspect.ErrKind) {
				t.Errorf("%v is no verdict", err)
			}
		}
		_, err := inspect.HelmChart(bytes.NewReader(body))
		check(err)
		_, err = inspect.TerraformPlan(bytes.NewReader(body))
		check(err)
		_, err = inspect.TerraformPlanJSON(bytes.NewReader(body))
		check(err)
		_, err = inspect.TerraformModule(bytes.NewReader(body))
		check(err)
		for _, name := range []string{"a.yaml", "a.json"} {
			_, err = inspect.Configuration(name, bytes.NewReader(body))
			check(err)
		}
	})
}
