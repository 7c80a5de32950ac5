//go:build kubernetes

package helm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"helm.sh/helm/v4/pkg/kube"

	"github.com/blackdice/shipwarden/internal/kubetest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/drivertest"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
)

// web is a chart of one pod, whose image's tag says what becomes of it.
// What is bad by its tag is given up soon, and what is good never, however slow the controllers are.
func web(n int, tag string, more files) driver.Plan {
	deadline := "600"
	if strings.HasPrefix(tag, "bad-") {
		deadline = "6"
	}
	all := files{
		"web/Chart.yaml":  fmt.Sprintf("apiVersion: v2\nname: web\nversion: %d.0.0\n", n),
		"web/values.yaml": "replicas: 1\n",
		"web/templates/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  progressDeadlineSeconds: ` + deadline + `
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example.test/web:` + tag + `"}]}
`,
	}
	for name, text := range more {
		all["web/"+name] = text
	}
	return charted(n, archived(all))
}

// place applies the nth plan, and rolls it back with back.
func place(t *testing.T, d driver.Driver, n int, p, before driver.Plan) (driver.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p.Previous = before.Artifact.Digest
	return d.Apply(ctx, driver.ApplyKey(fmt.Sprintf("web-%d", n), 0, 1), driver.Fence{Epoch: "e1", Sequence: uint64(10 * n)}, p) //nolint:gosec // a small number
}

func back(t *testing.T, d driver.Driver, n int, p, before driver.Plan) (driver.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p.Previous = before.Artifact.Digest
	return d.Rollback(ctx, driver.RollbackKey(fmt.Sprintf("web-%d", n), 0, 1), driver.Fence{Epoch: "e1", Sequence: uint64(10*n + 5)}, p) //nolint:gosec // a small number
}

func must(t *testing.T, result driver.Result, err error) driver.Result {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\n%s", err, result.Output)
	}
	return result
}

// history are the statuses of Helm's revisions by their numbers.
func (w world) history(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, item := range w.items(t, "secrets") {
		if kubetest.Field(item, "metadata", "labels", "owner") == "helm" {
			version, _ := kubetest.Field(item, "metadata", "labels", "version").(string)
			out[version], _ = kubetest.Field(item, "metadata", "labels", "status").(string)
		}
	}
	return out
}

// byHand changes the application as somebody else does, by that name.
func (w world) byHand(t *testing.T, who string, spec map[string]any) {
	t.Helper()
	d := w.object(t, "deployments/shop")
	meta, _ := d["metadata"].(map[string]any)
	delete(meta, "managedFields")
	into, _ := d["spec"].(map[string]any)
	for name, value := range spec {
		into[name] = value
	}
	w.admin.Must(t, http.MethodPut, w.path("deployments/shop")+"?fieldManager="+who, d)
}

// 1: a rollout that the server has given up ends the wait, and not the time.
func TestHazard01AFailedRolloutEndsTheWaitBeforeTheTimeout(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	d := w.driver(t, c, helm.Options{}) // Five minutes, more than the test has.
	good, bad := web(1, "1.0.0", nil), web(2, "bad-pull1", nil)
	r, err := place(t, d, 1, good, driver.Plan{})
	must(t, r, err)
	_, err = place(t, d, 2, bad, good)
	if err == nil || !strings.Contains(err.Error(), "Progress") && !strings.Contains(err.Error(), "progress") || !strings.Contains(err.Error(), "shop") {
		t.Errorf("got %v, want the object and what it lacks", err)
	}
}

// 2: Helm takes for good what was superseded, ready or not. The record alone says what was ready.
func TestHazard02TheWayBackNeverLeadsToWhatWasNeverReady(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	good, bad, worse := web(1, "1.0.0", nil), web(2, "bad-pull1", nil), web(3, "bad-crash1", nil)
	r, err := place(t, d, 1, good, driver.Plan{})
	must(t, r, err)
	if _, err := place(t, d, 2, bad, good); err == nil {
		t.Fatal("what is never ready was taken")
	}
	// Somebody who knows Helm alone makes the failed revision look as if it had been good.
	for _, item := range w.items(t, "secrets") {
		if kubetest.Field(item, "metadata", "labels", "version") == "2" {
			labels, _ := kubetest.Field(item, "metadata", "labels").(map[string]any)
			labels["status"] = "superseded"
			name, _ := kubetest.Field(item, "metadata", "name").(string)
			w.admin.Must(t, http.MethodPut, w.path("secrets/"+name), item)
		}
	}
	if _, err := place(t, d, 3, worse, good); err == nil {
		t.Fatal("what is never ready was taken")
	}
	r, err = back(t, d, 3, worse, good)
	must(t, r, err)
	if got := w.image(t); !strings.HasSuffix(got, ":1.0.0") {
		t.Errorf("it went back to %s", got)
	}
	if _, err := back(t, d, 4, worse, bad); !errors.Is(err, driver.ErrNoWayBack) {
		t.Errorf("back to what was never ready: %v", err)
	}
}

// 3: a call that is ended in the middle leaves nothing of Helm at work, and the next finishes it.
func TestHazard03ACanceledCallLeavesNothingAtWork(t *testing.T) {
	t.Parallel()
	w := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	good, next := web(1, "1.0.0", nil), web(2, "2.0.0", nil)
	r, err := place(t, w.driver(t, config(w.folder), helm.Options{}), 1, good, driver.Plan{})
	must(t, r, err)
	d := w.driver(t, config(w.folder), helm.Options{At: func(point string) {
		if point == helm.PointPartly {
			cancel()
		}
	}})
	p := next
	p.Previous = good.Artifact.Digest
	if _, err := d.Apply(ctx, driver.ApplyKey("web-2", 0, 1), driver.Fence{Epoch: "e1", Sequence: 20}, p); err == nil {
		t.Fatal("the canceled call went through")
	}
	before := w.history(t)
	if before["2"] == "deployed" || before["1"] != "deployed" {
		t.Errorf("history %v", before)
	}
	r, err = place(t, w.driver(t, config(w.folder), helm.Options{}), 2, next, good)
	must(t, r, err)
	if !strings.HasSuffix(w.image(t), ":2.0.0") {
		t.Errorf("image %s", w.image(t))
	}
}

// 4: what a killed executor leaves pending is found, said and repaired.
func TestHazard04APendingRevisionOfAKilledExecutorIsRepairedAndSaid(t *testing.T) {
	t.Parallel()
	w := open(t)
	r, err := place(t, w.driver(t, config(w.folder), helm.Options{}), 1, plan(1), driver.Plan{})
	must(t, r, err)
	call := drivertest.Call{Key: driver.ApplyKey("web-2", 0, 1), Fence: driver.Fence{Epoch: "e1", Sequence: 20}, Version: 2, Previous: 1}
	if !drivertest.Kill(t, w.folder, helm.PointPartly, call) {
		t.Fatal("it was not killed in the middle")
	}
	if got := w.history(t); got["2"] != "pending-upgrade" {
		t.Fatalf("history %v", got)
	}
	r, err = place(t, w.driver(t, config(w.folder), helm.Options{}), 2, plan(2), plan(1))
	must(t, r, err)
	if want := "revision 2 was left pending-upgrade"; !strings.Contains(r.Message, want) || !strings.Contains(string(r.Output), want) {
		t.Errorf("message %q, output %q", r.Message, r.Output)
	}
	if got := w.history(t); got["2"] != "failed" || got["3"] != "deployed" {
		t.Errorf("history %v", got)
	}
}

// 5: of two that upgrade at once, the one that has the target prevails, and the lock of Helm holds neither.
func TestHazard05OfTwoAtOnceTheNewerPrevails(t *testing.T) {
	t.Parallel()
	w := open(t)
	r, err := place(t, w.driver(t, config(w.folder), helm.Options{}), 1, plan(1), driver.Plan{})
	must(t, r, err)
	call := drivertest.Call{Key: driver.ApplyKey("web-2", 0, 1), Fence: driver.Fence{Epoch: "e1", Sequence: 20}, Version: 2, Previous: 1}
	wake, reached := drivertest.Sleep(t, w.folder, helm.PointPending, call)
	if !reached {
		t.Fatal("it did not come that far")
	}
	r, err = place(t, w.driver(t, config(w.folder), helm.Options{}), 3, plan(3), plan(1))
	must(t, r, err)
	before := w.changes(t)
	wake()
	if w.carries(t) != plan(3).Artifact.Digest || w.changes(t) != before {
		t.Errorf("whoever woke up changed it: image %s", w.image(t))
	}
	if got := w.history(t); got["3"] != "deployed" {
		t.Errorf("history %v", got)
	}
}

// 6: who owns the fields does not depend on what the program is called.
func TestHazard06TheOwnerOfFieldsIsAConstant(t *testing.T) {
	t.Parallel()
	if kube.ManagedFieldsManager != "shipwarden" {
		t.Errorf("it is %q", kube.ManagedFieldsManager)
	}
	w := open(t)
	r, err := place(t, w.driver(t, config(w.folder), helm.Options{}), 1, plan(1), driver.Plan{})
	must(t, r, err)
	owners, _ := kubetest.Field(w.object(t, "configmaps/shop"), "metadata", "managedFields").([]any)
	if len(owners) != 1 || kubetest.Field(owners[0], "manager") != "shipwarden" || kubetest.Field(owners[0], "operation") != "Apply" {
		t.Errorf("owners %v", owners)
	}
}

// 7: what somebody else has changed stops the way forth and names who and what; the way back takes it
// back and says so. What an autoscaler sets is neither.
func TestHazard07AConflictIsNamedAndNeverForcedForth(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	one, two := web(1, "1.0.0", nil), web(2, "2.0.0", nil)
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	w.byHand(t, "kubectl-scale", map[string]any{"replicas": 3})
	_, err = place(t, d, 2, two, one)
	if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "Deployment shop") || !strings.Contains(err.Error(), "kubectl-scale") || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("got %v", err)
	}
	if got := w.history(t); len(got) != 1 || w.image(t) != "registry.example.test/web:1.0.0" {
		t.Errorf("it began: %v, %s", got, w.image(t))
	}
	asked, err := d.Diff(t.Context(), two)
	if err != nil || !strings.Contains(asked.Failed, "kubectl-scale") {
		t.Errorf("approvers are told %+v, %v", asked, err)
	}
}

func TestHazard07TheWayBackTakesBackWhatWasChangedAndSaysSo(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	one, two := web(1, "1.0.0", nil), web(2, "2.0.0", nil)
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	r, err = place(t, d, 2, two, one)
	must(t, r, err)
	w.byHand(t, "kubectl-scale", map[string]any{"replicas": 3})
	p := two
	p.Previous = one.Artifact.Digest
	if asked, err := d.DryRunRollback(t.Context(), p); err != nil || !asked.Possible || !strings.Contains(asked.Steps, "kubectl-scale") {
		t.Errorf("dry run %+v, %v", asked, err)
	}
	r, err = back(t, d, 2, two, one)
	must(t, r, err)
	if !strings.Contains(r.Message, "1 changes of somebody else") || !strings.Contains(string(r.Output), "kubectl-scale") {
		t.Errorf("message %q, output %q", r.Message, r.Output)
	}
	if got := kubetest.Field(w.object(t, "deployments/shop"), "spec", "replicas"); got != 1.0 {
		t.Errorf("%v replicas", got)
	}
}

// 8: what somebody has added owns no field of ours: no dry run tells of it, and so the owners do.
func TestHazard08WhatSomebodyAddedIsShownToApprovers(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	one := web(1, "1.0.0", nil)
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	w.byHand(t, "kubectl-set", map[string]any{"revisionHistoryLimit": 3})
	asked, err := d.Diff(t.Context(), one)
	if err != nil || !strings.Contains(asked.Text, "written by kubectl-set as well: .spec.revisionHistoryLimit") {
		t.Errorf("approvers are told %+v, %v", asked, err)
	}
}

// 9: a namespace that is not there is not made.
func TestHazard09TheNamespaceIsNotMade(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	c.Namespace = w.namespace + "-not"
	if _, err := place(t, w.driver(t, c, helm.Options{}), 1, plan(1), driver.Plan{}); err == nil {
		t.Error("it was placed nowhere")
	}
	if got := w.admin.Status(t, http.MethodGet, "/api/v1/namespaces/"+c.GetNamespace(), nil); got != http.StatusNotFound {
		t.Errorf("status %d", got)
	}
}

// 10: what the executor may not do, hooks included, is known before anything is changed.
func TestHazard10WhatTheExecutorMayNotDoIsKnownBefore(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	for name, more := range map[string]files{
		"an object":         {"templates/role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: all}\nrules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]\n"},
		"a hook":            {"templates/role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: all, annotations: {helm.sh/hook: pre-install}}\nrules: []\n"},
		"another namespace": {"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n"},
		"no namespace":      {"templates/a.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"},
	} {
		if _, err := place(t, d, 1, web(1, "1.0.0", more), driver.Plan{}); err == nil {
			t.Errorf("%s was taken", name)
		}
		if got := w.history(t); len(got) != 0 || w.image(t) != "" {
			t.Errorf("%s: it began: %v", name, got)
		}
	}
}

// 11: what Helm has forgotten is placed again from the chart that is kept.
func TestHazard11ARevisionThatHelmForgotIsPlacedAgain(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	for n := 1; n <= 2; n++ {
		r, err := place(t, d, n, plan(n), plan(n-1))
		must(t, r, err)
	}
	w.admin.Must(t, http.MethodDelete, w.path("secrets/sh.helm.release.v1.shop.v1"), nil)
	p := plan(2)
	p.Previous = plan(1).Artifact.Digest
	if asked, err := d.DryRunRollback(t.Context(), p); err != nil || !strings.Contains(asked.Steps, "with the chart that is kept") {
		t.Errorf("dry run %+v, %v", asked, err)
	}
	r, err := back(t, d, 2, plan(2), plan(1))
	must(t, r, err)
	if w.carries(t) != plan(1).Artifact.Digest {
		t.Errorf("image %s", w.image(t))
	}
}

// 12: a first release that fails leaves what it was, to be looked at and to be finished.
func TestHazard12AFailedFirstReleaseStaysForPeopleToLookAt(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	bad, good := web(1, "bad-pull1", nil), web(2, "2.0.0", nil)
	if _, err := place(t, d, 1, bad, driver.Plan{}); err == nil {
		t.Fatal("what is never ready was taken")
	}
	if got := w.history(t); got["1"] != "failed" || w.image(t) == "" {
		t.Errorf("history %v, image %q", got, w.image(t))
	}
	r, err := place(t, d, 2, good, driver.Plan{})
	must(t, r, err)
}

// 13: a hook that fails, and values that do not fit, fail before any object is touched.
func TestHazard13AFailingHookStopsBeforeAnythingIsReplaced(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	job := func(tag string) files {
		return files{"templates/hook.yaml": `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
spec:
  backoffLimit: 0
  template: {spec: {restartPolicy: Never, containers: [{name: m, image: "registry.example.test/m:` + tag + `"}]}}
`}
	}
	one, two := web(1, "1.0.0", job("1.0.0")), web(2, "2.0.0", job("bad-job1"))
	r, err := place(t, d, 1, one, driver.Plan{})
	must(t, r, err)
	if _, err := place(t, d, 2, two, one); err == nil || !strings.Contains(err.Error(), "hook") {
		t.Errorf("got %v", err)
	}
	if got := w.image(t); got != "registry.example.test/web:1.0.0" {
		t.Errorf("image %s", got)
	}
}

func TestHazard13ValuesThatDoNotFitAreRefusedBefore(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	bad := web(1, "1.0.0", files{"values.schema.json": `{"type": "object", "properties": {"replicas": {"type": "string"}}, "additionalProperties": false}`})
	if _, err := place(t, d, 1, bad, driver.Plan{}); err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("got %v", err)
	}
	if got := w.history(t); len(got) != 0 {
		t.Errorf("it began: %v", got)
	}
}

// 14: a release that somebody else has made, with whichever Helm, is not taken over.
func TestHazard14AReleaseOfSomebodyElseIsNotTakenOver(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.admin.Must(t, http.MethodPost, w.path("secrets"), map[string]any{
		"metadata": map[string]any{"name": "sh.helm.release.v1.shop.v1", "labels": map[string]any{
			"owner": "helm", "name": "shop", "status": "deployed", "version": "1",
		}},
		"type": "helm.sh/release.v1", "stringData": map[string]any{"release": "x"},
	})
	before := w.state(t)
	_, err := place(t, w.driver(t, config(w.folder), helm.Options{}), 1, plan(1), driver.Plan{})
	if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "release shop is there already") {
		t.Errorf("got %v", err)
	}
	if after := w.history(t); len(after) != 1 || w.image(t) != "" || before == "" {
		t.Errorf("it was changed: %v", after)
	}
}

// 15: a name that YAML takes for something else is refused by its place and not placed as true.
func TestHazard15ANameThatYAMLReadsAsATruthIsRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	c.Release = "y"
	d := w.driver(t, c, helm.Options{})
	unquoted := web(1, "1.0.0", files{"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {release: {{ .Release.Name }}}}\n"})
	if _, err := place(t, d, 1, unquoted, driver.Plan{}); err == nil {
		t.Error("it was taken")
	}
	if got := w.history(t); len(got) != 0 {
		t.Errorf("it began: %v", got)
	}
	quoted := web(2, "1.0.0", files{"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {release: {{ .Release.Name | quote }}}}\n"})
	r, err := place(t, d, 2, quoted, driver.Plan{})
	must(t, r, err)
}

// 16: a chart is what its digest names, or nothing.
func TestHazard16AChartOfAnotherDigestIsRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	p := drivertest.File("shop", "shop-1.tgz", archived(shop(1)))
	p.Digest = plan(2).Artifact.Digest
	other := plan(1)
	other.Artifact, other.Artifact.Kind = p, plan(1).Artifact.Kind
	if _, err := place(t, d, 1, other, driver.Plan{}); err == nil {
		t.Error("it was taken")
	}
	if got := w.history(t); len(got) != 0 {
		t.Errorf("it began: %v", got)
	}
}

// What is a secret reaches the Secret that it is for, and nobody's eyes.
func TestSecretsReachTheClusterAndNobodyIsShownThem(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	file := filepath.Join(w.folder, "password")
	if err := os.WriteFile(file, []byte("correct-horse-battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Secrets = []*configv1.HelmSecret{{Value: "auth.password", File: file}}
	d := w.driver(t, c, helm.Options{})
	p := web(1, "1.0.0", files{
		"values.yaml":           "replicas: 1\nauth: {password: \"\"}\n",
		"templates/secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData: {p: {{ .Values.auth.password | quote }}}\n",
		"templates/loose.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: loose}\ndata: {dsn: \"x:{{ .Values.auth.password }}@db\"}\n",
	})
	asked, err := d.Diff(t.Context(), p)
	if err != nil || asked.Failed != "" || strings.Contains(asked.Text, "correct-horse") || strings.Contains(asked.Text, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5") || !strings.Contains(asked.Text, "create Secret shop") {
		t.Errorf("approvers see %+v, %v", asked, err)
	}
	r, err := place(t, d, 1, p, driver.Plan{})
	must(t, r, err)
	if strings.Contains(r.Message+string(r.Output), "correct-horse") {
		t.Errorf("said: %q %q", r.Message, r.Output)
	}
	if got := kubetest.Field(w.object(t, "secrets/shop"), "data", "p"); got != "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5" {
		t.Errorf("the Secret has %v", got)
	}
	for _, item := range w.items(t, "configmaps") {
		name, _ := kubetest.Field(item, "metadata", "name").(string)
		if text := fmt.Sprint(item); strings.HasPrefix(name, "shipwarden-") && strings.Contains(text, "correct-horse") {
			t.Errorf("ConfigMap %s has it", name)
		}
	}
}

// A chart that makes something up each time cannot be approved.
func TestAChartThatMakesSomethingElseEachTimeIsRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, config(w.folder), helm.Options{})
	p := web(1, "1.0.0", files{"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {p: {{ randAlphaNum 8 | quote }}}\n"})
	if asked, err := d.Diff(t.Context(), p); err != nil || !strings.Contains(asked.Failed, "something else each time") {
		t.Errorf("got %+v, %v", asked, err)
	}
}

// Answers and requests that are lost change nothing of the outcome.
func TestLostAnswersChangeNothingOfTheOutcome(t *testing.T) {
	t.Parallel()
	w := open(t)
	var writes atomic.Int64
	d := w.driver(t, config(w.folder), helm.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(r)
			write := slices.Contains([]string{http.MethodPatch, http.MethodPost, http.MethodPut}, r.Method) && r.URL.Query().Get("dryRun") == ""
			if err == nil && write && writes.Add(1)%2 == 0 {
				_ = answer.Body.Close()
				return nil, errors.New("the answer was lost")
			}
			return answer, err
		})
	}})
	for i := 1; i <= 2; i++ {
		r, err := place(t, d, i, plan(i), plan(i-1))
		must(t, r, err)
	}
	if got := w.history(t); w.carries(t) != plan(2).Artifact.Digest || got["2"] != "deployed" || len(got) != 2 {
		t.Errorf("history %v, image %s", got, w.image(t))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
