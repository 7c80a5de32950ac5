package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/natstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/config"
)

func TestThePreviewShowsEveryValueAndNoSecret(t *testing.T) {
	t.Parallel()
	n := natstest.Single(t)
	for _, test := range []struct {
		name, location, before, after, summary string
		want                                   []string
	}{
		{
			"values", "limits.yaml",
			"orders: 1\nold: {a: 1, b: x}\nlist: [1, 2]\nsame: true\n",
			"orders: 2\nnew: 2026-01-01\nlist: [1, 3, 4]\nsame: true\n",
			"2 changed, 2 added, 2 removed",
			[]string{"~ /list/1: 2 -> 3", "+ /list/2: 4", `+ /new: "2026-01-01"`, "- /old/a: 1", `- /old/b: "x"`, "~ /orders: 1 -> 2"},
		},
		{
			"secrets", "limits.yaml",
			"db: {password: hunter2, url: 'postgres://u:geheim@db/x'}\ntokens: {ci: first-one}\n",
			"db: {password: hunter3, url: 'postgres://u:anders@db/x'}\ntokens: {ci: other-one, cd: third-one}\n",
			"3 changed, 1 added",
			[]string{"~ /db/password: [redacted] -> [redacted]", "~ /tokens/ci: [redacted] -> [redacted]", "+ /tokens/cd: [redacted]", "~ /db/url: \"postgres://u:[redacted password in URL]@db/x\""},
		},
		{
			"secrets in a list of variables", "limits.yaml",
			"env: [{name: DB_PASSWORD, value: hunter2}, {name: MODE, value: fast}]\n",
			"env: [{name: DB_PASSWORD, value: hunter3}, {name: MODE, value: slow}, {Key: api-token, id: hunter4, from: {value: hunter5}}, {name: CI_TOKEN, value: [hunter6]}]\n",
			"2 changed, 5 added",
			[]string{
				"~ /env/0/value: [redacted] -> [redacted]", `~ /env/1/value: "fast" -> "slow"`, "+ /env/2/from/value: [redacted]",
				`+ /env/3/name: "CI_TOKEN"`, "+ /env/3/value/0: [redacted]",
			},
		},
		{
			"a variable that becomes a secret", "limits.yaml",
			"env: [{name: MODE, value: fast}, {name: DB_PASSWORD, value: hunter2}]\n", "env: [{name: DB_PASSWORD, value: hunter2}]\n",
			"2 changed, 2 removed",
			[]string{"~ /env/0/name: [redacted] -> [redacted]", "~ /env/0/value: [redacted] -> [redacted]", "- /env/1/value: [redacted]"},
		},
		{
			"secrets in what becomes something else", "limits.yaml", "db: {password: hunter2, port: 1}\nlist: [{name: token, value: hunter3}]\n", "db: none\nlist: {a: 1}\n",
			"2 added, 4 removed",
			[]string{"- /db/password: [redacted]", "- /db/port: 1", `+ /db: "none"`, "- /list/0/value: [redacted]", "+ /list/a: 1"},
		},
		{
			"only the form", "limits.yaml", "b: 1\na: 2\nc: x\n", "# words\na: 2\nb: 1\nc: 'x'\n", "no value differs",
			[]string{"no value differs: what differs is how they are written, such as comments, order, quotes or white space"},
		},
		{
			"numbers that are the same to a machine", "limits.yaml", "total: 9007199254740993.0\nid: 123456789012345678901\nrate: 1.0\n", "total: 9007199254740992.0\nid: 123456789012345678902\nrate: 1.00\n", "3 changed",
			[]string{"~ /total: 9007199254740993.0 -> 9007199254740992.0", "~ /id: 123456789012345678901 -> 123456789012345678902", "~ /rate: 1.0 -> 1.00"},
		},
		{
			"what readers take for different things", "limits.yaml", "mode: 0777\n", "mode: 511\n", "all of it is replaced",
			[]string{"what is there now cannot be read as such a document", "+ /mode: 511"},
		},
		{
			"JSON that YAML reads otherwise", "limits.yaml", `{"a":1e3}`, "a: 1000\n", "1 changed", []string{"~ /a: 1e3 -> 1000"},
		},
		{
			"several documents", "limits.yml", "a: 1\n---\nb: 1\n", "a: 1\n---\nb: 2\n---\nc: 3\n", "1 changed, 1 added",
			[]string{"~ document 2 /b: 1 -> 2", "+ document 3 /c: 3"},
		},
		{
			"JSON with names that are no words", "limits.json", `{"a/b":1,"x\ny":1}`, `{"a/b":2.50,"x\ny":2}`, "2 changed",
			[]string{"~ /a~1b: 1 -> 2.50", `~ /"x\ny": 1 -> 2`},
		},
		{
			"what is no document", "limits.json", "\x00\xff", `{"a":1}`, "all of it is replaced",
			[]string{"what is there now cannot be read as such a document", "+ /a: 1"},
		},
		{"the first", "limits.json", "", `{"a":{"b":[]}}`, "1 added", []string{"+ /a/b: []"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, n, 8)
			if test.before != "" {
				w.put(t, test.before)
			}
			p := planOf("2", test.location, test.after)
			p.Previous = digest(test.before)
			got, err := w.open(t, nil).Preview(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(got.Summary, ", "+test.summary) {
				t.Errorf("summary %q", got.Summary)
			}
			for _, line := range test.want {
				if !strings.Contains(got.Detail, "\n"+line) {
					t.Errorf("missing: %s", line)
				}
			}
			for _, secret := range []string{"hunter", "geheim", "anders", "first-one", "other-one", "third-one"} {
				if strings.Contains(got.Detail, secret) {
					t.Errorf("%s is shown", secret)
				}
			}
			if t.Failed() {
				t.Log(got.Detail)
			}
		})
	}
}

const schema = `{
  "type": "object", "required": ["limits"], "additionalProperties": false,
  "properties": {"limits": {"type": "object", "properties": {
    "orders": {"type": "integer", "maximum": 100}, "password": {"type": "string", "pattern": "^[0-9]+$"}
  }}}
}`

func schemaFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "schema.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestADocumentThatDoesNotFitIsRefusedWithItsPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	c := w.config()
	c.SchemaFile = schemaFile(t, schema)
	d := opened(t, c, nil)
	for _, test := range []struct{ name, location, document, want string }{
		{"fits", "limits.yaml", "limits: {orders: 7}\n", ""},
		{"a value too high", "limits.yaml", "limits: {orders: 101}\n", "/limits/orders: maximum"},
		{"another type", "limits.json", `{"limits":{"orders":"7"}}`, "/limits/orders: is a string, must be a integer"},
		{"a number beyond all bounds", "limits.yaml", "limits: {orders: 1.0e+99999999}\n", "/limits/orders: "},
		{"a number beyond all bounds in JSON", "limits.json", `{"limits":{"orders":1e99999999}}`, "/limits/orders: "},
		{"missing and too much", "limits.yaml", "limit: 1\n", "/: limit not allowed; /: limits required"},
		{"a secret is not told", "limits.yaml", "limits: {password: hunter2}\n", "/limits/password: pattern"},
		{"a secret that begins with a star", "limits.yaml", "limits: {}\npassword: *hunter2\n", "quote a text that begins with a star"},
		{"a secret that is no number", "limits.yaml", "limits: {}\nport: !!int hunter2\n", "document 1: line 2: a type (!)"},
		{"a secret as a key, twice", "limits.yaml", "a: {hunter2: 1, hunter2: 2}\n", "line 1: a key that is there before"},
		{"a secret before a mistake", "limits.yaml", "limits: {}\na: \"hunter2\" b\n", "near line 1: no YAML"},
		{"one of several", "limits.yaml", "limits: {}\n---\nlimits: {orders: 1.5}\n", "document 2: invalid: the document does not fit its schema: /limits/orders: is a number"},
		{"twice the same key", "limits.yaml", "limits: {}\nlimits: {}\n", "it cannot be read"},
		{"twice the same key in JSON", "limits.json", `{"limits":{},"limits":{}}`, "it cannot be read"},
		{"a key that is no text", "limits.yaml", "limits: {1: 2}\n", "a key is no text"},
		{"no number", "limits.yaml", "limits: {orders: .nan}\n", "a number that is none"},
		{"empty", "limits.yaml", "", "it is empty"},
		{"no UTF-8", "limits.yaml", "limits: \"\xff\"\n", "not UTF-8"},
		{"aliases without an end", "limits.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "it cannot be read"},
		{"deeper than anybody goes", "limits.yaml", strings.Repeat("[", 5000), "it cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := planOf("1", test.location, test.document)
			p.Artifact.Digest = digest(test.document)
			if test.document == "" {
				p.Artifact.Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
			}
			_, seen := d.Preview(t.Context(), p)
			if test.want == "" {
				if seen != nil {
					t.Errorf("preview: %v", seen)
				}
				return
			}
			_, placed := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), p)
			for what, err := range map[string]error{"preview": seen, "apply": placed} {
				if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s: %v, want %s", what, err, test.want)
				}
			}
			if got := w.value(t); got != "" {
				t.Errorf("the bucket has %q", got)
			}
		})
	}
}

func TestOnlyConfigurationDocumentsArePlaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	d := w.open(t, nil)
	file := plan(1)
	file.Artifact.Kind = releasev1.ArtifactKind_ARTIFACT_KIND_FILE
	for _, p := range []driver.Plan{file, planOf("1", "limits.toml", "a = 1\n")} {
		if _, err := d.Preview(t.Context(), p); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("preview: %v", err)
		}
		if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, 1), at(10), p); !errors.Is(err, driver.ErrUnsupported) {
			t.Errorf("apply: %v", err)
		}
	}
}

func TestMistakesOfTheConfigurationAreNamedByField(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]*configv1.ConfigDriver{
		"entry.nats.urls: required": {Entry: &configv1.ConfigEntry{Bucket: "b", Key: "k"}},
		"entry.bucket: not a name":  {Entry: &configv1.ConfigEntry{Nats: &configv1.Nats{Urls: []string{"x"}}, Bucket: "b.c", Key: "k"}},
		"entry.key: not a name":     {Entry: &configv1.ConfigEntry{Nats: &configv1.Nats{Urls: []string{"x"}}, Bucket: "b", Key: "k.>"}},
		"schema_file: open /none":   {Entry: place{URL: "x", Bucket: "b"}.config().GetEntry(), SchemaFile: "/none"},
		"no JSON Schema":            {Entry: place{URL: "x", Bucket: "b"}.config().GetEntry(), SchemaFile: schemaFile(t, `{"type": 7}`)},
		"which is outside of it":    {Entry: place{URL: "x", Bucket: "b"}.config().GetEntry(), SchemaFile: schemaFile(t, `{"$ref": "file:///etc/passwd"}`)},
		"schema.json: no JSON: ":    {Entry: place{URL: "x", Bucket: "b"}.config().GetEntry(), SchemaFile: schemaFile(t, `{`)},
	} {
		if _, err := config.New(c, config.Options{Target: target}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestWhatReadersOfYAMLTakeForDifferentThingsIsRefusedWithItsLine: a preview that shows one of
// them would not show what the service reads.
func TestWhatReadersOfYAMLTakeForDifferentThingsIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, natstest.Single(t), 8)
	d := w.open(t, nil)
	preview := func(value string) (driver.Preview, error) {
		return d.Preview(t.Context(), planOf("1", "limits.yaml", "# words\na: "+value+"\n"))
	}
	const differently = "line 2: not all readers of YAML take this for the same"
	for value, want := range map[string]string{
		"yes": differently, "No": differently, "ON": differently, "off": differently, "y": differently, "N": differently,
		"0777": differently, "-0777": differently, "08": differently, "0o777": differently, "0b11": differently, "0x1F": differently,
		"1_000": differently, "1:30": differently, "12:30:45": differently, "1:30.5": differently, "1e3": differently, "1.5E3": differently,
		"+1": differently, ".5": differently, "1.": differently, "1_0.5": differently, "=": differently,
		"{on: 1}": differently, "{<<: {b: 1}}": differently, "[1, [no]]": differently,
		"!!float 1": "line 2: a type (!)", "!!binary aGVsbG8=": "line 2: a type (!)", "!secret x": "line 2: a type (!)", "!!set {x}": "line 2: a type (!)",
		"-.inf": "line 2: a number that is none", "{b: 1, 'b': 2}": "line 2: a key that is there before", "{~: 1}": "line 2: a key is no text",
		"&a [*a]": "nested too deep", "[&a " + strings.Repeat("x", 60000) + strings.Repeat(",*a", 40) + "]": "line 2: aliases (*) stand for too much",
	} {
		if _, err := preview(value); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", value, err, want)
		}
	}
	for value, want := range map[string]string{
		"'yes'": `"yes"`, `"0777"`: `"0777"`, "!!str 0777": `"0777"`, "|-\n  no": `"no"`, "yesterday": `"yesterday"`, "1.2.3": `"1.2.3"`,
		"10.0.0.1:80": `"10.0.0.1:80"`, "8080:80": `"8080:80"`, "2026-01-01": `"2026-01-01"`, "1h30m": `"1h30m"`,
		"0": "0", "-7": "-7", "1.50": "1.50", "1.5e+3": "1.5e+3", "True": "true", "~": "null", "": "null", "&a x": `"x"`, "!!map {}": "{}",
	} {
		if p, err := preview(value); err != nil || !strings.Contains(p.Detail, "\n+ /a: "+want+"\n") {
			t.Errorf("%s: %v, want %s: %s", value, err, want, p.Detail)
		}
	}
}
