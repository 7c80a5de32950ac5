//go:build kubernetes

package helm_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
)

// note is a template of a ConfigMap, with annotations that make a hook of it.
func note(name, annotations, text string) files {
	return files{"templates/note.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"" + name + "\", annotations: {" + annotations + "}}\ndata: {step: \"" + text + "\"}\n"}
}

// A chart may name what it makes after the number of its revision: the next one is what approvers see.
func TestApproversSeeTheRevisionThatIsPlaced(t *testing.T) {
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	more := note("run-{{ .Release.Revision }}", "", "{{ .Release.IsUpgrade }}")
	one, two := web(1, "1.0.0", more), web(2, "2.0.0", more)
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	asked, err := d.Diff(t.Context(), two)
	if err != nil || !strings.Contains(asked.Text, "create ConfigMap run-2\n") || !strings.Contains(asked.Text, "delete ConfigMap run-1\n") {
		t.Errorf("approvers are told %+v, %v", asked, err)
	}
	r, err = place(t, d, 2, two, one)
	must(t, r, err)
	if w.object(t, "configmaps/run-2") == nil || w.object(t, "configmaps/run-1") != nil {
		t.Error("it is not what approvers were told")
	}
	asked, err = d.Diff(t.Context(), web(3, "3.0.0", nil))
	if err != nil || !strings.Contains(asked.Text, "delete ConfigMap run-2\n") {
		t.Errorf("the record does not know what was placed: %+v, %v", asked, err)
	}
}

// What a hook does is approved as well, and not its name alone.
func TestApproversSeeWhatAHookIs(t *testing.T) {
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	asked, err := d.Diff(t.Context(), web(1, "1.0.0", note("step", "helm.sh/hook: pre-install", "drop nothing")))
	if err != nil || !strings.Contains(asked.Text, "run ConfigMap step (pre-install)\n") || !strings.Contains(asked.Text, `data.step: "drop nothing"`) {
		t.Errorf("approvers are told %+v, %v", asked, err)
	}
}

// Helm leaves what a hook of the installation has made, and what runs may need it.
func TestWhatAHookOfTheInstallationHasMadeStays(t *testing.T) {
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	more := note("first", "helm.sh/hook: pre-install", "x")
	one, two := web(1, "1.0.0", more), web(2, "2.0.0", more)
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	asked, err := d.Diff(t.Context(), two)
	if err != nil || asked.Failed != "" || strings.Contains(asked.Text, "delete ConfigMap first") {
		t.Errorf("approvers are told %+v, %v", asked, err)
	}
	r, err = place(t, d, 2, two, one)
	must(t, r, err)
	if w.object(t, "configmaps/first") == nil {
		t.Error("it was deleted")
	}
}

// What somebody has made by the name of what was placed is not deleted by Helm either: no preview says
// that it would be.
func TestWhatSomebodyMadeByANameOfOursIsNotDeleted(t *testing.T) {
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	r, err := place(t, d, 1, plan(1), driver.Plan{})
	must(t, r, err)
	w.admin.Must(t, http.MethodDelete, w.path("services/shop-1"), nil)
	w.admin.Must(t, http.MethodPost, w.path("services"), map[string]any{
		"metadata": map[string]any{"name": "shop-1"}, "spec": map[string]any{"ports": []any{map[string]any{"port": 81}}},
	})
	asked, err := d.Diff(t.Context(), plan(2))
	if err != nil || asked.Failed != "" || strings.Contains(asked.Text, "delete Service") {
		t.Errorf("approvers are told %+v, %v", asked, err)
	}
	r, err = place(t, d, 2, plan(2), plan(1))
	must(t, r, err)
	if w.object(t, "services/shop-1") == nil {
		t.Error("it was deleted")
	}
}

// The digest is that of the chart: a change of its values alone has no way back, and never says that it
// has gone back.
func TestAChangeOfTheValuesAloneHasNoWayBackAndSaysSo(t *testing.T) {
	w := open(t)
	c := config(w.folder)
	c.Parameters = []*configv1.HelmParameter{{Parameter: "replicas", Value: "replicas", Integer: true}}
	d := w.driver(t, c, helm.Options{})
	one, two := web(1, "1.0.0", nil), web(1, "1.0.0", nil)
	one.Parameters, two.Parameters = map[string]string{"replicas": "1"}, map[string]string{"replicas": "2"}
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	for _, test := range []struct {
		plan     driver.Plan
		possible bool
	}{{one, true}, {two, false}} {
		p := test.plan
		p.Previous = one.Artifact.Digest
		if asked, err := d.DryRunRollback(t.Context(), p); err != nil || asked.Possible != test.possible {
			t.Errorf("replicas %s: approvers are told %+v, %v", p.Parameters["replicas"], asked, err)
		}
	}
	r, err = place(t, d, 2, two, one)
	must(t, r, err)
	if r, err := back(t, d, 2, two, one); !errors.Is(err, driver.ErrNoWayBack) {
		t.Errorf("it says that it went back: %+v, %v", r, err)
	}
	// What changes nothing has nothing to take back.
	r, err = place(t, d, 3, two, two)
	must(t, r, err)
	r, err = back(t, d, 3, two, two)
	must(t, r, err)
}

// A secret may have spaces around it that a chart takes away.
func TestASecretThatAChartTrimsIsNotShown(t *testing.T) {
	w := open(t)
	c := config(w.folder)
	file := filepath.Join(w.folder, "word")
	if err := os.WriteFile(file, []byte("correct-horse-battery\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Secrets = []*configv1.HelmSecret{{Value: "word", File: file}}
	asked, err := w.driver(t, c, helm.Options{}).Diff(t.Context(), web(1, "1.0.0", note("greeting", "", "{{ .Values.word | trim }}")))
	if err != nil || asked.Failed != "" || !strings.Contains(asked.Text, "create ConfigMap greeting") || strings.Contains(asked.Text, "correct-horse") {
		t.Errorf("approvers see %+v, %v", asked, err)
	}
}

// A chart is told what lookup_secrets names, and the preview is read before anybody has approved
// anything: what a Secret of the namespace has is in it no more than a secret of the configuration.
func TestWhatAChartIsToldOfSecretsIsNotShown(t *testing.T) {
	w := open(t)
	c := config(w.folder)
	c.LookupSecrets = []string{"database", "another"}
	d := w.driver(t, c, helm.Options{})
	secret := func(name string, data map[string]any) {
		w.admin.Must(t, http.MethodPost, w.path("secrets"), map[string]any{"metadata": map[string]any{"name": name}, "stringData": data})
	}
	long := strings.Repeat("correct-horse-battery-", 500)
	secret("database", map[string]any{"password": "correct-horse-1 ", "pin": "4711"})
	secret("another", map[string]any{"long": long})
	of := `(lookup "v1" "Secret" .Release.Namespace "database").data.password`
	for name, text := range map[string]string{
		"in base64": `{{ ` + of + ` }}`, "as it is": `{{ ` + of + ` | b64dec }}`, "trimmed, in a text": `{{ printf "p=%s!" (` + of + ` | b64dec | trim) }}`,
		"a long one": `{{ (lookup "v1" "Secret" .Release.Namespace "another").data.long | b64dec }}`,
	} {
		asked, err := d.Diff(t.Context(), web(1, "1.0.0", note("greeting", "", text)))
		if err != nil || asked.Failed != "" || !strings.Contains(asked.Text, "create ConfigMap greeting") || strings.Contains(asked.Text, "correct-horse") || strings.Contains(asked.Text, "Y29ycmVjdC1ob3JzZ") {
			t.Errorf("%s: approvers see %+v, %v", name, asked, err)
		}
	}
	asked, err := d.Diff(t.Context(), web(1, "1.0.0", note("greeting", "", `{{ fail (`+of+` | b64dec) }}`)))
	if err != nil || !strings.Contains(asked.Failed, "(secret)") || strings.Contains(asked.Failed, "correct-horse") {
		t.Errorf("a failure: approvers see %+v, %v", asked, err)
	}
}

// A chart can spell what it is told so that no veil knows it again, and is read before anybody has
// approved anything: of Secrets it is told those that the target's configuration names.
func TestAChartLooksUpNoSecretButThoseThatTheTargetNames(t *testing.T) {
	w := open(t)
	c := config(w.folder)
	c.LookupSecrets = []string{"database"}
	d := w.driver(t, c, helm.Options{})
	for _, name := range []string{"database", "another"} {
		w.admin.Must(t, http.MethodPost, w.path("secrets"), map[string]any{"metadata": map[string]any{"name": name}, "stringData": map[string]any{"pin": "4711"}})
	}
	of := func(name string) string { return `(lookup "v1" "Secret" .Release.Namespace "` + name + `")` }
	// What it has is so in base64, spelled.
	spelled := func(what string) string { return `{{ range splitList "" (toString ` + what + `) }}{{ . }}-{{ end }}` }
	const pin = "N-D-c-x-M-Q"
	for name, tt := range map[string]struct{ text, refused string }{
		"named":               {spelled(of("database")), ""}, // and so the operator's to answer for.
		"not named":           {spelled(of("another")), "looks up Secret another, which lookup_secrets of the target does not name"},
		"not there":           {spelled(of("missing")), "looks up Secret missing"},
		"all":                 {spelled(of("")), "looks up Secret *"},
		"all, after one":      {spelled(of("database")) + spelled(of("")), "looks up Secret *"},
		"of another name":     {`{{ (lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt").metadata.name }}`, ""},
		"of Helm's own":       {spelled(of("sh.helm.release.v1.shop.v1")), "looks up Secret sh.helm.release.v1.shop.v1"},
		"in every namespace":  {spelled(`(lookup "v1" "Secret" "" "")`), "looks up Secret */*"},
		"elsewhere, as named": {spelled(`(lookup "v1" "Secret" "default" "database")`), "looks up Secret default/database"},
	} {
		asked, err := d.Diff(t.Context(), web(1, "1.0.0", note("greeting", "", tt.text)))
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.refused == "" && asked.Failed != "", !strings.Contains(asked.Failed, tt.refused), strings.Contains(asked.Text+asked.Failed, pin) != (name == "named"):
			t.Errorf("%s: approvers see %+v", name, asked)
		}
	}
}

// Whoever upgrades by hand hands on the labels of the revision before: theirs is not what was to be placed.
func TestARevisionThatSomebodyMadeByHandIsNotTakenForOurs(t *testing.T) {
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	good, bad := web(1, "1.0.0", nil), web(2, "bad-pull1", nil)
	r, err := place(t, d, 1, good, driver.Plan{})
	must(t, r, err)
	if _, err := place(t, d, 2, bad, good); err == nil {
		t.Fatal("what is never ready was taken")
	}
	for _, item := range w.items(t, "secrets") {
		if kubetest.Field(item, "metadata", "labels", "version") == "2" {
			meta, _ := item["metadata"].(map[string]any)
			labels, _ := meta["labels"].(map[string]any)
			labels["status"] = "deployed"
			delete(meta, "annotations")
			name, _ := meta["name"].(string)
			w.admin.Must(t, http.MethodPut, w.path("secrets/"+name), item)
		}
	}
	if r, err := place(t, d, 2, bad, good); err == nil {
		t.Errorf("it says that it was placed: %+v", r)
	}
}
