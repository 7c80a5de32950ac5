//go:build kubernetes

package helm_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	release "helm.sh/helm/v4/pkg/release/v1"

	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

// A preview is made before anybody has approved anything: a template without an end ends it, and nothing
// else. The same goes for who asks for the release itself.
//
// It runs alone: what it waits for is a processor.
func TestATemplateWithoutAnEndIsRefusedAtThePreviewAndTheExecutorGoesOn(t *testing.T) {
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{Limits: apart.Limits{Memory: 128 << 20, Processor: 5 * time.Second, Time: patience}})
	n := 0
	const memory, processor = "more than 128 MiB of memory", "more than 5s of a processor"
	for name, test := range map[string]struct{ template, want string }{
		"a list":      {"{{ range until 1000000000 }}a: b\n{{ end }}", memory},
		"a range":     {"{{ range 1000000000000 }}{{ end }}", processor},
		"an output":   {"{{ range 1000000000000 }}a: b\n{{ end }}", memory},
		"a text":      {`a: {{ repeat 1000000000 "x" }}`, memory},
		"a large one": {`a: {{ repeat 9000000 "x" }}`, "measures more than 8388608 bytes"},
		"itself":      {`{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}`, memory},
	} {
		n++
		t.Run(name, func(t *testing.T) {
			p := charted(1, chart(t, with(files{"templates/x.yaml": test.template})))
			asked, err := d.Diff(t.Context(), p)
			says := func(text string) bool {
				// A slow processor is over before the memory is full.
				return strings.Contains(text, test.want) || name == "an output" && strings.Contains(text, processor)
			}
			if err != nil || !says(asked.Failed) || asked.Text != "" {
				t.Errorf("preview: %+v, %v, want %s", asked, err, test.want)
			}
			_, err = place(t, d, n, p, driver.Plan{})
			if !errors.Is(err, driver.ErrInvalid) && !errors.Is(err, driver.ErrUnsupported) || !says(err.Error()) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	if got := w.history(t); len(got) != 0 {
		t.Errorf("Helm's history has %v", got)
	}
	r, err := place(t, d, n+1, plan(1), driver.Plan{})
	must(t, r, err)
	if got := w.carries(t); got != plan(1).Artifact.Digest {
		t.Errorf("it carries %s", got)
	}
}

// What Helm keeps with a release is the chart, and not what was made of it: people who look at it, or
// upgrade by hand with the values that are there, find what they know.
func TestHelmKeepsTheChartItself(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	for n := 1; n <= 2; n++ {
		r, err := place(t, d, n, plan(n), plan(n-1))
		must(t, r, err)
		kept := w.revision(t, n)
		if got := string(kept.Chart.Templates[0].Data); len(kept.Chart.Templates) < 2 || !strings.Contains(got, "{{ .Release.Name | quote }}") || kept.Chart.Values["replicas"] != 0.0 {
			t.Errorf("revision %d has templates such as %q, and values %v", n, got, kept.Chart.Values)
		}
		if !strings.Contains(kept.Manifest, "# Source: shop/templates/deployment.yaml\n") || strings.Contains(kept.Manifest, "{{") {
			t.Errorf("revision %d has made\n%s", n, kept.Manifest)
		}
	}
}

// revision is what Helm has of a revision of the application.
func (w world) revision(t *testing.T, number int) (r release.Release) {
	t.Helper()
	text, _ := kubetest.Field(w.object(t, fmt.Sprintf("secrets/sh.helm.release.v1.shop.v%d", number)), "data", "release").(string)
	outer, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := base64.StdEncoding.DecodeString(string(outer))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(inner))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(plain).Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}
