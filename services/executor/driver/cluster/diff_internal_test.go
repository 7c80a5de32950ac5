package cluster

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

func tree(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func shownTo(t *testing.T, is, would string) string {
	t.Helper()
	veil := NewVeil(driver.Plan{Release: "one", Target: "shop"})
	text := differences("ConfigMap shop", tree(t, is), tree(t, would), nil, veil)
	return string(argv.Cut([]byte(text + veil.line())).Text)
}

// Whatever it says of a secret, approvers see that it changes, and another value is another
// answer.
func TestADifferenceShowsNoSecretAndChangesWithIt(t *testing.T) {
	for name, test := range map[string]struct{ is, would string }{
		"a value by its name":                 {`{"data": {"password": "hunter2old"}}`, `{"data": {"password": "hunter2new"}}`},
		"a value that is new":                 {``, `{"data": {"password": "hunter2new"}}`},
		"a value that goes":                   {`{"data": {"password": "hunter2new"}}`, `{"data": {}}`},
		"a variable":                          {`{"env": [{"name": "DB_PASSWORD", "value": "hunter2old"}]}`, `{"env": [{"name": "DB_PASSWORD", "value": "hunter2new"}]}`},
		"a variable that is new":              {`{"env": []}`, `{"env": [{"name": "API_TOKEN", "value": "hunter2new"}]}`},
		"a variable that moves":               {`{"env": [{"name": "A", "value": "b"}]}`, `{"env": [{"name": "DB_PASSWORD", "value": "hunter2new"}, {"name": "A", "value": "b"}]}`},
		"a variable that is called otherwise": {`{"env": [{"name": "DB_PASSWORD", "value": "hunter2old"}]}`, `{"env": [{"name": "A", "value": "hunter2new"}]}`},
		"what is below":                       {`{"x": {"credentials": [{"a": "hunter2old"}]}}`, `{"x": {"credentials": [{"a": "hunter2new"}]}}`},
		"an argument":                         {`{"args": ["--db-password", "hunter2old"]}`, `{"args": ["--db-password", "hunter2new"]}`},
		"an argument with its name":           {`{"args": ["--db-password=hunter2old"]}`, `{"args": ["--db-password=hunter2new"]}`},
		"a text":                              {`{"data": {"app.conf": "password=hunter2old\nx=y"}}`, `{"data": {"app.conf": "password=hunter2new\nx=y"}}`},
		"a sum over another object":           {`{"annotations": {"checksum/config": "hunter2old"}}`, `{"annotations": {"checksum/config": "hunter2new"}}`},
		"a container of that name":            {`{"containers": [{"name": "auth", "image": "a:1", "env": [{"name": "DB_PASSWORD", "value": "hunter2old"}]}]}`, `{"containers": [{"name": "auth", "image": "a:1", "env": [{"name": "DB_PASSWORD", "value": "hunter2new"}]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			got := shownTo(t, test.is, test.would)
			if got == "" || strings.Contains(got, "hunter2") {
				t.Errorf("shown: %q", got)
			}
			if other := shownTo(t, strings.ReplaceAll(test.is, "hunter2new", "hunter2other"), strings.ReplaceAll(test.would, "hunter2new", "hunter2other")); other == got {
				t.Errorf("another value is the same answer: %q", got)
			}
		})
	}
}

func TestADifferenceShowsWhatIsNoSecret(t *testing.T) {
	for name, test := range map[string]struct{ is, would, want string }{
		"the image of a container whose name sounds so": {
			`{"containers": [{"name": "auth", "image": "a:1"}]}`, `{"containers": [{"name": "auth", "image": "a:2"}]}`, `  containers[0].image: "a:1" -> "a:2"`,
		},
		"the labels of an object whose name sounds so": {
			`{"metadata": {"name": "token-shop", "labels": {"a": "b"}}}`, `{"metadata": {"name": "token-shop", "labels": {"a": "c"}}}`, `  metadata.labels.a: "b" -> "c"`,
		},
		"which secret is named": {
			`{"volumes": [{"secret": {"secretName": "a"}}]}`, `{"volumes": [{"secret": {"secretName": "b"}}]}`, `  volumes[0].secret.secretName: "a" -> "b"`,
		},
		"where a variable has its value from": {
			`{"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "a", "key": "password"}}}]}`,
			`{"env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "b", "key": "password"}}}]}`,
			`  env[0].valueFrom.secretKeyRef.name: "a" -> "b"`,
		},
		"a variable": {
			`{"env": [{"name": "A", "value": "b"}]}`, `{"env": [{"name": "A", "value": "c"}]}`, `  env[0].value: "b" -> "c"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := shownTo(t, test.is, test.would); got != test.want+"\n" {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Whoever writes a manifest chooses names, and must neither write lines of the difference nor
// hide one behind another.
func TestANameForgesNoLineAndHidesNone(t *testing.T) {
	for name, test := range map[string]struct{ would, want string }{
		"a line":            {`{"data": {"a\n  image: \"a:1\" -> \"a:2\"\nchange Deployment other": "b"}}`, `  + data["a\n  image: \"a:1\" -> \"a:2\"\nchange Deployment other"]: "b"` + "\n"},
		"another direction": {`{"data": {"a\u202eb\u2028c": "d"}}`, `  + data["a\u202eb\u2028c"]: "d"` + "\n"},
		"two fields":        {`{"a": {"b": 1}, "a.b": 2}`, "  + [\"a.b\"]: 2\n  + a.b: 1\n"},
		"an item":           {`{"a": [1], "a[0]": 2}`, "  + [\"a[0]\"]: 2\n  + a[0]: 1\n"},
		"no name":           {`{"a": {"": 1}}`, "  + a[\"\"]: 1\n"},
		"a name of a label": {`{"labels": {"example.com/team": "a"}}`, "  + labels[\"example.com/team\"]: \"a\"\n"},
	} {
		if got := differences("", nil, tree(t, test.would), nil, nil); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// A name that is quoted is still one of the values of a Secret.
func TestAQuotedNameShowsNoValueOfASecret(t *testing.T) {
	hidden := Eyes{}.hides(Ref{Version: "v1", Kind: "Secret", Name: "shop"})
	for _, of := range []string{"data", "stringData"} {
		got := differences("", nil, tree(t, `{"`+of+`": {"a.crt": "hunter2", "a": "hunter2"}}`), hidden, NewVeil(driver.Plan{}))
		if !strings.Contains(got, of+`["a.crt"]: `) || strings.Contains(got, "hunter2") {
			t.Errorf("shown: %q", got)
		}
	}
}

// A secret is known however it was written, so that neither it nor the one before it is shown, and
// another one is another answer.
func TestASecretIsKnownInWhateverItIsWritten(t *testing.T) {
	const before, after, other = "hunter2\"old<&>\nof two lines", "hunter2\"new<&>\nof two lines", "hunter2\"too<&>\nof two lines"
	for name, write := range map[string]func(secret string) string{
		"as it is":  func(secret string) string { return "dsn: " + secret },
		"by itself": func(secret string) string { return secret },
		"in quotes": func(secret string) string { return fmt.Sprintf("dsn: %q", secret) },
		"in JSON": func(secret string) string {
			text, err := json.Marshal(map[string]string{"dsn": secret})
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		},
		"in base64":               func(secret string) string { return base64.StdEncoding.EncodeToString([]byte(secret)) },
		"in base64 of addresses":  func(secret string) string { return base64.URLEncoding.EncodeToString([]byte(secret)) },
		"in base64 behind a name": func(secret string) string { return base64.StdEncoding.EncodeToString([]byte("shop:" + secret)) },
		"in base64 behind another, in a text": func(secret string) string {
			return "auth: " + base64.RawURLEncoding.EncodeToString([]byte("orders:"+secret+"@db"))
		},
		"with its lines set inward": func(secret string) string { return "dsn: |\n  " + strings.ReplaceAll(secret, "\n", "\n  ") },
	} {
		shown := func(secret string) string {
			veil := NewVeil(driver.Plan{Release: "one", Target: "shop"})
			of := func(secret string) map[string]any {
				return map[string]any{"data": map[string]any{"app.yaml": write(secret)}}
			}
			hidden := Eyes{Secrets: []string{secret}}.hides(Ref{Version: "v1", Kind: "ConfigMap", Name: "shop"})
			return differences("ConfigMap shop", of(before), of(secret), hidden, veil) + veil.line()
		}
		got := shown(after)
		if !strings.HasPrefix(got, `  data["app.yaml"]: a secret -> a secret`+"\n") {
			t.Errorf("%s: %s", name, got)
		}
		if shown(other) == got {
			t.Errorf("%s: another secret is the same answer: %s", name, got)
		}
	}
}

// Nor does a name of a field that somebody else owns write a line.
func TestTheNameOfAFieldOfSomebodyElseForgesNoLine(t *testing.T) {
	got := strings.Join(owned(".data", tree(t, `{"f:a\nb": {}, "k:c\nd": {}, "f:e": {}}`)), ", ")
	if want := `.data["a\nb"], .data.e, .data[k:c?d]`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A server quotes the whole value that it refuses: a template of pods with its variables.
func TestWhatAServerRefusesIsSaidInShortAndWithoutItsValue(t *testing.T) {
	refused := apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "shop", field.ErrorList{
		field.Invalid(field.NewPath("spec", "template"), map[string]any{"env": `{Name:"DB_PASSWORD", Value:"hunter2: x"}`}, "field is immutable"),
		field.Required(field.NewPath("spec", "selector"), ""),
	})
	got := Told(fmt.Errorf("Job shop: %w", refused))
	for _, want := range []string{"Job shop: ", "spec.template: field is immutable", "spec.selector: Required value"} {
		if !strings.Contains(got.Error(), want) {
			t.Errorf("nothing of %q in %q", want, got.Error())
		}
	}
	if strings.Contains(got.Error(), "hunter2") || !apierrors.IsInvalid(got) {
		t.Errorf("got %q", got.Error())
	}
	long := Told(fmt.Errorf("password=hunter2hunter2 %s: %w", strings.Repeat("ä", 5000), driver.ErrInvalid))
	if text := long.Error(); len(text) > maxTold+50 || strings.Contains(text, "hunter2") || !errors.Is(long, driver.ErrInvalid) {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func TestWhoseAFieldIsSaysTheServer(t *testing.T) {
	refused := apierrors.NewApplyConflict([]metav1.StatusCause{
		{Type: metav1.CauseTypeFieldManagerConflict, Message: `conflict with "kubectl-edit" using apps/v1`, Field: ".spec.replicas"},
		{Type: metav1.CauseTypeFieldManagerConflict, Message: `conflict with "other" using apps/v1`, Field: ".spec.paused"},
	}, "Apply failed with 2 conflicts")
	theirs := Foreign(Ref{Kind: "Deployment", Name: "shop"}, fmt.Errorf("apply: %w", refused))
	if want := (driver.ManualChange{Object: "Deployment shop", Field: ".spec.replicas and 1 more", Manager: "kubectl-edit"}); theirs == nil || *theirs != want || !errors.Is(theirs, driver.ErrConflict) {
		t.Errorf("got %v", theirs)
	}
	moved := apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, "shop", errors.New("the object has been modified"))
	if Foreign(Ref{}, moved) != nil || !Moved(moved) || Moved(refused) {
		t.Errorf("an object that was written since it was read is taken for somebody's field")
	}
	if got := owner("something else"); got != "something else" {
		t.Errorf("got %q", got)
	}
}

func TestAServerIsNamedWithoutCredentials(t *testing.T) {
	for server, want := range map[string]string{
		"https://10.0.0.1:6443":                        "https://10.0.0.1:6443",
		"https://me:hunter2@gate.example/k8s/c1?a=b#c": "https://gate.example/k8s/c1",
	} {
		if got := Address(server); got != want {
			t.Errorf("%s: got %q, want %q", server, got, want)
		}
	}
}
