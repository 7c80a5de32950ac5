//go:build kubernetes

package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"sigs.k8s.io/yaml"

	"github.com/blackdice/shipwarden/internal/kubetest"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/kubernetes"
)

// patience bounds one call; machines that run tests are often short of processors.
const patience = 2 * time.Minute

type object = map[string]any

func at(sequence int) driver.Fence {
	return driver.Fence{Epoch: "e1", Sequence: uint64(sequence)} //nolint:gosec // The tests' own, and small.
}

// web is an application of two replicas with an image of the tag. What is bad by its tag is given up
// soon, and what is good never, however slow the controllers are.
func web(tag, more string) string {
	deadline := 600
	if strings.HasPrefix(tag, "bad-") {
		deadline = 3
	}
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  progressDeadlineSeconds: %d
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: shop, image: "registry.example.test/shop:%s"}]
%s`, deadline, tag, more)
}

const service = `---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
`

// release applies manifests as a release of their own.
func release(t *testing.T, d driver.Driver, n int, before driver.Plan, manifests string) (driver.Plan, driver.Result, error) {
	t.Helper()
	p := planOf(n, manifests)
	p.Previous, p.PreviousVersion = before.Artifact.Digest, before.Version
	result, err := d.Apply(t.Context(), driver.ApplyKey(fmt.Sprintf("shop-%d", n), 0, 1), at(10*n), p)
	return p, result, err
}

func back(t *testing.T, d driver.Driver, n int, p driver.Plan) error {
	t.Helper()
	_, err := d.Rollback(t.Context(), driver.RollbackKey(fmt.Sprintf("shop-%d", n), 0, 1), at(10*n+1), p)
	return err
}

func (w world) ready(t *testing.T) int {
	n, _ := kubetest.Field(w.deployment(t), "status", "readyReplicas").(float64)
	return int(n)
}

func (w world) image(t *testing.T) string {
	image, _ := kubetest.Field(w.deployment(t), "spec", "template", "spec", "containers", 0, "image").(string)
	return image[strings.LastIndex(image, ":")+1:]
}

func (w world) status(t *testing.T, what string) int {
	return w.admin.Status(t, http.MethodGet, w.path(what), nil)
}

func TestABadImageFailsAndWhatWasThereComesBack(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"bad-pull-2", "bad-crash-2"} {
		t.Run(tag, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d := w.driver(t, kubernetes.Options{})
			first, result, err := release(t, d, 1, driver.Plan{}, web("1.0.0", service))
			if err != nil || result.Digest != first.Artifact.Digest || w.ready(t) != 2 {
				t.Fatalf("%+v, %v; %d are ready", result, err, w.ready(t))
			}
			bad, result, err := release(t, d, 2, first, web(tag, ""))
			if err == nil || !strings.Contains(err.Error(), "Deployment shop") || result.Digest != "" {
				t.Errorf("a bad image: %+v, %v", result, err)
			}
			if _, err := d.Running(t.Context()); !errors.Is(err, driver.ErrUnknown) {
				t.Errorf("in between nobody can tell what runs: %v", err)
			}
			if got := w.status(t, "services/shop"); got != http.StatusOK {
				t.Errorf("what the new version does without is deleted before it is ready: %d", got)
			}
			if err := back(t, d, 2, bad); err != nil {
				t.Fatal(err)
			}
			if running, err := d.Running(t.Context()); running != first.Artifact.Digest || err != nil || w.image(t) != "1.0.0" || w.ready(t) < 2 {
				t.Errorf("back: runs %s, %v, with %s, %d ready", running, err, w.image(t), w.ready(t))
			}
		})
	}
}

// The controller of a Deployment does not take back what it said of a rollout where only the
// number of replicas is another one.
func TestTheFailureOfTheVersionBeforeIsNotThatOfThisOne(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	first, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := release(t, d, 2, first, web("bad-pull-2", "")); err == nil {
		t.Fatal("a bad image passed")
	}
	none := strings.NewReplacer("replicas: 2", "replicas: 0", "progressDeadlineSeconds: 3", "progressDeadlineSeconds: 600").Replace(web("bad-pull-2", ""))
	if _, result, err := release(t, d, 3, first, none); err != nil {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestWhatIsNotReadyInTimeFails(t *testing.T) {
	t.Parallel()
	w := open(t)
	c := config(w.folder)
	c.Timeout = durationpb.New(6 * time.Second)
	d, err := kubernetes.New(c, kubernetes.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	slow := strings.Replace(web("bad-pull-1", ""), "progressDeadlineSeconds: 3", "progressDeadlineSeconds: 600", 1)
	if _, _, err := release(t, d, 1, driver.Plan{}, slow); err == nil || !strings.Contains(err.Error(), "not ready in time: Deployment shop") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotWantedAnyMoreIsDeletedAndComesBack(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	w.admin.Must(t, http.MethodPost, w.path("configmaps"), object{"metadata": object{"name": "of-others"}})
	first, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", service))
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := release(t, d, 2, first, web("2.0.0", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.status(t, "services/shop"); got != http.StatusNotFound {
		t.Errorf("the service is still there: %d", got)
	}
	if err := back(t, d, 2, second); err != nil {
		t.Fatal(err)
	}
	if got := w.status(t, "services/shop"); got != http.StatusOK || w.image(t) != "1.0.0" {
		t.Errorf("the service did not come back: %d, %s", got, w.image(t))
	}
	if got := w.status(t, "configmaps/of-others"); got != http.StatusOK {
		t.Errorf("what somebody else placed is gone: %d", got)
	}
}

func TestWhatSomebodyElseChangedStopsAndIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	first, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", ""))
	if err != nil {
		t.Fatal(err)
	}
	w.admin.Must(t, http.MethodPatch, w.path("deployments/shop")+"?fieldManager=kubectl-edit", object{"spec": object{"replicas": 5}})
	second := planOf(2, web("2.0.0", service))
	second.Previous = first.Artifact.Digest
	asked, err := d.Diff(t.Context(), second)
	if err != nil || !strings.Contains(asked.Failed, "kubectl-edit") || !strings.Contains(asked.Failed, "spec.replicas") || asked.Digest() != "" {
		t.Errorf("what would change: %+v, %v", asked, err)
	}
	before := w.state(t)
	_, err = d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), second)
	var theirs *driver.ManualChange
	if !errors.As(err, &theirs) || *theirs != (driver.ManualChange{Object: "Deployment shop", Field: ".spec.replicas", Manager: "kubectl-edit"}) || !errors.Is(err, driver.ErrConflict) {
		t.Errorf("apply: %v", err)
	}
	if w.image(t) != "1.0.0" || w.status(t, "services/shop") != http.StatusNotFound {
		t.Errorf("something was changed: before\n%s\nafter\n%s", before, w.state(t))
	}
	if running, err := d.Running(t.Context()); running != first.Artifact.Digest || err != nil {
		t.Errorf("runs %s, %v", running, err)
	}
}

func TestWhatAnotherTargetOfTheNamespaceHasPlacedIsNotTaken(t *testing.T) {
	t.Parallel()
	w := open(t)
	if _, _, err := release(t, w.driver(t, kubernetes.Options{}), 1, driver.Plan{}, shop(1)); err != nil {
		t.Fatal(err)
	}
	other, err := kubernetes.New(config(w.folder), kubernetes.Options{Target: "shop-2"})
	if err != nil {
		t.Fatal(err)
	}
	if asked, err := other.Diff(t.Context(), planOf(2, shop(2))); err != nil || !strings.Contains(asked.Failed, "placed by target shop-1") {
		t.Errorf("what would change: %+v, %v", asked, err)
	}
	if _, _, err := release(t, other, 2, driver.Plan{}, shop(2)); !errors.Is(err, driver.ErrConflict) || w.carries(t) != plan("", 1).Artifact.Digest {
		t.Errorf("%v; carries %s", err, w.carries(t))
	}
	if _, _, err := release(t, other, 3, driver.Plan{}, "{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}"); err != nil {
		t.Errorf("beside it: %v", err)
	}
}

// Another installation has a target of the same id there, by mistake: by the record alone, each
// would take what the other one has placed for its own.
func TestTwoInstallationsWithATargetOfOneNameAreToldApart(t *testing.T) {
	t.Parallel()
	w := open(t)
	of := func(name string) driver.Driver {
		c := config(w.folder)
		c.Installation = name
		d, err := kubernetes.New(c, kubernetes.Options{Target: "shop-1"})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first, _, err := release(t, of(""), 1, driver.Plan{}, shop(1))
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := release(t, of("eu"), 2, first, shop(2))
	if err != nil {
		t.Fatalf("one that has got a name since: %v", err)
	}
	for _, name := range []string{"us", ""} {
		other := of(name)
		if _, err := other.Running(t.Context()); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), `"eu"`) {
			t.Errorf("%q: running: %v", name, err)
		}
		if asked, err := other.Diff(t.Context(), planOf(3, shop(3))); err != nil || !strings.Contains(asked.Failed, `"eu"`) {
			t.Errorf("%q: what would change: %+v, %v", name, asked, err)
		}
		if _, _, err := release(t, other, 3, second, shop(3)); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("%q: apply: %v", name, err)
		}
		if err := back(t, other, 2, second); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("%q: rollback: %v", name, err)
		}
		if _, err := other.Seal(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30)); !errors.Is(err, driver.ErrConflict) {
			t.Errorf("%q: seal: %v", name, err)
		}
	}
	if w.carries(t) != second.Artifact.Digest {
		t.Errorf("carries %s", w.carries(t))
	}
	if err := back(t, of("eu"), 2, second); err != nil {
		t.Error(err)
	}
}

// What was there before a target is not its own: the way back would delete it.
func TestWhatWasThereAndNobodyPlacedIsNotTaken(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	w.admin.Must(t, http.MethodPost, w.path("configmaps")+"?fieldManager=kubectl-create", object{"metadata": object{"name": "extra"}, "data": object{"a": "c"}})
	first, _, err := release(t, d, 1, driver.Plan{}, shop(2))
	if err != nil {
		t.Fatal(err)
	}
	const extra = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}, data: {a: b}}\n"
	second := planOf(2, shop(3)+extra)
	second.Previous = first.Artifact.Digest
	const want = "ConfigMap extra, belongs to kubectl-create: it is there already and was not placed by this target: remove it, or leave it out"
	if asked, err := d.Diff(t.Context(), second); err != nil || !strings.Contains(asked.Failed, want) || asked.Digest() != "" {
		t.Errorf("what would change: %+v, %v", asked, err)
	}
	if _, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), second); !errors.Is(err, driver.ErrConflict) || w.status(t, "services/shop-3") != http.StatusNotFound {
		t.Errorf("apply: %v", err)
	}
	if err := back(t, d, 2, second); err != nil {
		t.Error(err)
	}
	if got := w.status(t, "configmaps/extra"); got != http.StatusOK {
		t.Errorf("the way back has deleted what was there: %d", got)
	}
}

// It is theirs when the change is tried again, too, and when it is sealed: that the record names
// it says no more than that it was to be placed.
func TestWhatSomebodyMakesAfterTheDryRunIsNotTaken(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{At: func(point string) {
		if point == kubernetes.PointBegun && w.status(t, "configmaps/shop") == http.StatusNotFound {
			w.admin.Must(t, http.MethodPost, w.path("configmaps"), object{"metadata": object{"name": "shop"}})
		}
	}})
	for attempt := uint32(1); attempt <= 3; attempt++ {
		_, err := d.Apply(t.Context(), driver.ApplyKey("shop-1", 0, attempt), at(10), planOf(1, shop(1)))
		if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "ConfigMap shop") || w.deployment(t) != nil {
			t.Errorf("attempt %d: %v; deployment %v", attempt, err, w.deployment(t))
		}
	}
	if status, err := d.Seal(t.Context(), driver.ApplyKey("shop-1", 0, 3), at(10)); status != driver.StatusStarted || err != nil {
		t.Errorf("seal: %s, %v", status, err)
	}
	theirs := w.admin.Must(t, http.MethodGet, w.path("configmaps/shop"), nil)
	if labels := kubetest.Field(theirs, "metadata", "labels"); labels != nil || kubetest.Field(theirs, "data") != nil {
		t.Errorf("theirs was changed: %v", theirs)
	}
}

func TestWhatTheRecordNamesIsOursWithoutItsLabel(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	first, _, err := release(t, d, 1, driver.Plan{}, shop(1))
	if err != nil {
		t.Fatal(err)
	}
	w.admin.Must(t, http.MethodPatch, w.path("configmaps/shop"), object{"metadata": object{"labels": object{"shipwarden.github.io/target": nil}}})
	if asked, err := d.Diff(t.Context(), planOf(2, shop(2))); err != nil || asked.Failed != "" {
		t.Errorf("what would change: %+v, %v", asked, err)
	}
	if _, _, err := release(t, d, 2, first, shop(2)); err != nil {
		t.Error(err)
	}
}

func TestWhatIsGoneWhileOthersAreWaitedForIsWaitedForAgain(t *testing.T) {
	t.Parallel()
	w := open(t)
	var placed, deleted, missed atomic.Bool
	d := w.driver(t, kubernetes.Options{
		At: func(point string) { placed.Store(placed.Load() || point == kubernetes.PointPlaced) },
		Wrap: func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				look := placed.Load() && r.Method == http.MethodGet
				response, err := next.RoundTrip(r)
				// The ConfigMap was looked at before.
				if look && strings.HasSuffix(r.URL.Path, "/deployments/shop") && !deleted.Swap(true) {
					w.admin.Must(t, http.MethodDelete, w.path("configmaps/shop"), nil)
					w.admin.Must(t, http.MethodPatch, w.path("deployments/shop"), object{"spec": object{"template": object{"spec": object{
						"containers": []object{{"name": "shop", "image": "registry.example.test/shop:1.0.0"}},
					}}}})
				}
				if look && deleted.Load() && strings.HasSuffix(r.URL.Path, "/configmaps/shop") && !missed.Swap(true) {
					w.admin.Must(t, http.MethodPost, w.path("configmaps"), object{"metadata": object{"name": "shop"}})
				}
				return response, err
			})
		},
	})
	slow := strings.Replace(web("bad-pull-1", ""), "progressDeadlineSeconds: 3", "progressDeadlineSeconds: 600", 1)
	if _, _, err := release(t, d, 1, driver.Plan{}, slow+"---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: shop}}\n"); err != nil || !missed.Load() {
		t.Errorf("%v; it was looked at again: %t", err, missed.Load())
	}
}

// An autoscaler changes the number of replicas by the subresource scale, as the manager that
// all controllers are.
func TestWhatAnAutoscalerSetsIsNoDriftAndStays(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	first, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", ""))
	if err != nil {
		t.Fatal(err)
	}
	w.admin.Must(t, http.MethodPatch, w.path("deployments/shop/scale")+"?fieldManager=kube-controller-manager", object{"spec": object{"replicas": 3}})
	for _, test := range []struct{ tag, want string }{
		{"1.0.0", "0 to create, 0 to change, 0 to delete, 1 as they are"},
		{"2.0.0", "0 to create, 1 to change, 0 to delete, 0 as they are"},
	} {
		asked, err := d.Diff(t.Context(), planOf(2, web(test.tag, "")))
		if err != nil || asked.Failed != "" || asked.Last != test.want || strings.Contains(asked.Text, "replicas") {
			t.Errorf("%s: %+v, %v", test.tag, asked, err)
		}
	}
	if _, _, err := release(t, d, 2, first, web("2.0.0", "")); err != nil {
		t.Fatal(err)
	}
	if got := kubetest.Field(w.deployment(t), "spec", "replicas"); got != 3.0 || w.image(t) != "2.0.0" {
		t.Errorf("%v replicas of %s", got, w.image(t))
	}
}

// firm is a driver whose executor may delete nothing.
func (w world) firm(t *testing.T) *kubernetes.Driver {
	t.Helper()
	return w.driver(t, kubernetes.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodDelete {
				// There it has no rights.
				r.URL.Path = strings.Replace(r.URL.Path, w.namespace, "default", 1)
			}
			return next.RoundTrip(r)
		})
	}})
}

func TestTheWayBackIsTriedWithWhatItDeletes(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, firm := w.driver(t, kubernetes.Options{}), w.firm(t)
	if asked, err := firm.Diff(t.Context(), planOf(1, shop(1))); err != nil || !strings.Contains(asked.Failed, "could not be deleted again") {
		t.Errorf("what would be new, and stay: %+v, %v", asked, err)
	}
	first, _, err := release(t, d, 1, driver.Plan{}, shop(1))
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := release(t, d, 2, first, shop(3))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.DryRunRollback(t.Context(), second); err != nil || !got.Possible || !strings.Contains(got.Steps, "delete:  Service shop-3\n") {
		t.Errorf("who may delete: %+v, %v", got, err)
	}
	if got, err := firm.DryRunRollback(t.Context(), second); err != nil || got.Possible || !strings.Contains(got.Reason, "Service shop-3 cannot be deleted") {
		t.Errorf("who may not: %+v, %v", got, err)
	}
	if got := w.status(t, "services/shop-3"); got != http.StatusOK {
		t.Errorf("asking has deleted it: %d", got)
	}
}

func TestWhatWouldChangeIsSaidByTheServer(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	first, _, err := release(t, d, 1, driver.Plan{}, web("1.0.0", service))
	if err != nil {
		t.Fatal(err)
	}
	// The server says as well whether it would delete.
	firm := w.firm(t)
	if asked, err := firm.Diff(t.Context(), planOf(2, web("2.0.0", ""))); err != nil || !strings.Contains(asked.Failed, "Service shop cannot be deleted") {
		t.Errorf("what cannot be deleted: %+v, %v", asked, err)
	}
	more := "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}, data: {password: hunter2hunter2}}\n"
	second := planOf(2, web("2.0.0", more))
	second.Previous = first.Artifact.Digest
	asked, err := d.Diff(t.Context(), second)
	if err != nil || asked.Failed != "" {
		t.Fatalf("%+v, %v", asked, err)
	}
	for _, want := range []string{
		"namespace " + w.namespace + " of https://127.0.0.1:",
		"create ConfigMap extra\n", "change Deployment shop\n", "delete Service shop\n",
		`  spec.template.spec.containers[0].image: "registry.example.test/shop:1.0.0" -> "registry.example.test/shop:2.0.0"` + "\n",
		"1 to create, 1 to change, 1 to delete, 0 as they are\n",
	} {
		if !strings.Contains(asked.Text, want) {
			t.Errorf("nothing of %q in\n%s", want, asked.Text)
		}
	}
	if strings.Contains(asked.Text, "hunter2") {
		t.Errorf("a password is shown:\n%s", asked.Text)
	}
	// The server completes and refuses; what it refuses is known before anybody approves.
	wrong := strings.Replace(web("2.0.0", ""), "replicas: 2", "replicas: -2", 1)
	if asked, err := d.Diff(t.Context(), planOf(3, wrong)); err != nil || !strings.Contains(asked.Failed, "spec.replicas") {
		t.Errorf("what the server refuses: %+v, %v", asked, err)
	}
}

// lossy has one of three requests that change a thing not arrive, and loses the answer to another.
// It counts for each by itself: of two that are tried again in turn one would never get through.
type lossy struct {
	next http.RoundTripper
	n    *sync.Map
}

var errLost = errors.New("the connection broke")

func (l lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet {
		return l.next.RoundTrip(r)
	}
	sent, _ := l.n.LoadOrStore(r.Method+" "+r.URL.Path, new(atomic.Int64))
	n := sent.(*atomic.Int64).Add(1) % 3 //nolint:forcetypeassert // Nothing else is stored.
	if n == 1 {
		return nil, errLost
	}
	response, err := l.next.RoundTrip(r)
	if err == nil && n == 2 {
		_ = response.Body.Close()
		return nil, errLost
	}
	return response, err
}

func TestLostAnswersAndRequestsChangeNothingOfTheOutcome(t *testing.T) {
	t.Parallel()
	w := open(t)
	var n sync.Map
	d := w.driver(t, kubernetes.Options{Wrap: func(next http.RoundTripper) http.RoundTripper { return lossy{next, &n} }})
	first, _, err := release(t, d, 1, driver.Plan{}, shop(1))
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := release(t, d, 2, first, shop(2))
	if err != nil {
		t.Fatal(err)
	}
	if w.carries(t) != second.Artifact.Digest || w.changes(t) != 2 || w.status(t, "services/shop-1") != http.StatusNotFound {
		t.Errorf("carries %s after %d changes", w.carries(t), w.changes(t))
	}
	if err := back(t, d, 2, second); err != nil {
		t.Fatal(err)
	}
	if w.carries(t) != first.Artifact.Digest || w.changes(t) != 3 || w.status(t, "services/shop-1") != http.StatusOK {
		t.Errorf("back: carries %s after %d changes", w.carries(t), w.changes(t))
	}
	if status, err := d.Seal(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30)); status != driver.StatusNotStarted || err != nil {
		t.Errorf("seal: %s, %v", status, err)
	}
}

// Who sleeps between his look at the record and his request must not have his effect when he
// wakes: the object is another one by then.
func TestARequestThatWasOnItsWayWhenAnotherReleaseCameIsRefused(t *testing.T) {
	t.Parallel()
	for name, others := range map[string]func(t *testing.T, w world, first driver.Plan, stale driver.Plan){
		"a newer release that changes nothing": func(t *testing.T, w world, first, _ driver.Plan) {
			if _, err := w.driver(t, kubernetes.Options{}).Apply(t.Context(), driver.ApplyKey("shop-3", 0, 1), at(30), first); err != nil {
				t.Fatal(err)
			}
		},
		"the way back": func(t *testing.T, w world, _, stale driver.Plan) {
			if err := back(t, w.driver(t, kubernetes.Options{}), 2, stale); err != nil {
				t.Fatal(err)
			}
		},
		"a seal": func(t *testing.T, w world, _, _ driver.Plan) {
			status, err := w.driver(t, kubernetes.Options{}).Seal(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20))
			if status != driver.StatusStarted || err != nil {
				t.Errorf("%s, %v", status, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			first, _, err := release(t, w.driver(t, kubernetes.Options{}), 1, driver.Plan{}, shop(1))
			if err != nil {
				t.Fatal(err)
			}
			stale := planOf(2, shop(2))
			stale.Previous = first.Artifact.Digest
			once, awake := false, make(chan struct{})
			var asleep atomic.Bool
			sleepy := w.driver(t, kubernetes.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
				return roundTrip(func(r *http.Request) (*http.Response, error) {
					if asleep.Load() {
						<-awake
					}
					// The request by which it changes the deployment, and no dry run of it.
					if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/deployments/shop") && r.URL.Query().Get("dryRun") == "" && !once {
						once = true
						asleep.Store(true)
						others(t, w, first, stale)
						asleep.Store(false)
						close(awake)
					}
					return next.RoundTrip(r)
				})
			}})
			if _, err := sleepy.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), stale); !errors.Is(err, driver.ErrStaleFence) || !once {
				t.Errorf("the stale one: %v, %t", err, once)
			}
			if w.carries(t) != first.Artifact.Digest || w.changes(t) != 1 {
				t.Errorf("carries %s after %d changes", w.carries(t), w.changes(t))
			}
		})
	}
}

func TestWhoIsAtWorkIsNotSealed(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	c := config(w.folder)
	c.Timeout = durationpb.New(patience)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun, failed := make(chan struct{}), make(chan error, 1)
	working, err := kubernetes.New(c, kubernetes.Options{Target: "shop-1", At: func(point string) {
		if point == kubernetes.PointPlaced {
			close(begun)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	key, slow := driver.ApplyKey("shop-1", 0, 1), strings.Replace(web("bad-pull-1", ""), "progressDeadlineSeconds: 3", "progressDeadlineSeconds: 600", 1)
	go func() {
		_, err := working.Apply(ctx, key, at(10), planOf(1, slow))
		failed <- err
	}()
	<-begun
	soon, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	if status, err := d.Seal(soon, key, at(10)); !errors.Is(err, driver.ErrBusy) {
		t.Errorf("while it is at work: %s, %v", status, err)
	}
	cancel()
	if err := <-failed; err == nil {
		t.Error("it went through")
	}
	if status, err := d.Seal(t.Context(), key, at(10)); status != driver.StatusStarted || err != nil {
		t.Errorf("when it is gone: %s, %v", status, err)
	}
	if _, err := d.Apply(t.Context(), key, at(10), planOf(1, slow)); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("with the sealed key: %v", err)
	}
}

// A call that begins between the look of who seals it and what he writes is waited for.
func TestWhoBeginsWhileHeIsSealedIsNotStoppedInTheMiddle(t *testing.T) {
	t.Parallel()
	w := open(t)
	first, _, err := release(t, w.driver(t, kubernetes.Options{}), 1, driver.Plan{}, shop(1))
	if err != nil {
		t.Fatal(err)
	}
	second, key := planOf(2, shop(2)), driver.ApplyKey("shop-2", 0, 1)
	second.Previous = first.Artifact.Digest
	begun, goOn, outcome := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	working := w.driver(t, kubernetes.Options{At: func(point string) {
		if point == kubernetes.PointBegun {
			close(begun)
			<-goOn
		}
	}})
	looks := 0
	sealing := w.driver(t, kubernetes.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.Method == http.MethodPut && looks == 0:
				go func() {
					_, err := working.Apply(context.WithoutCancel(t.Context()), key, at(20), second)
					outcome <- err
				}()
				<-begun
				looks = 1
			case looks > 0:
				if looks++; looks == 5 {
					close(goOn)
				}
			}
			return next.RoundTrip(r)
		})
	}})
	status, err := sealing.Seal(t.Context(), key, at(20))
	if failure := <-outcome; status != driver.StatusDone || err != nil || failure != nil || w.carries(t) != second.Artifact.Digest {
		t.Errorf("sealed: %s, %v; the call: %v; carries %s", status, err, failure, w.carries(t))
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The one gap of the fence: what a stale executor creates that the newer release does not
// have. It is found and deleted by the next change.
func TestWhatAStaleExecutorCreatesAfterAllIsDeletedByTheNextChange(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	first, _, err := release(t, d, 1, driver.Plan{}, shop(2))
	if err != nil {
		t.Fatal(err)
	}
	stale := planOf(2, shop(3))
	stale.Previous = first.Artifact.Digest
	once := false
	sleepy := w.driver(t, kubernetes.Options{Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/services/shop-3") && r.URL.Query().Get("dryRun") == "" && !once {
				once = true
				if err := back(t, d, 2, stale); err != nil {
					t.Error(err)
				}
			}
			return next.RoundTrip(r)
		})
	}})
	if _, err := sleepy.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20), stale); !errors.Is(err, driver.ErrStaleFence) {
		t.Errorf("the stale one: %v", err)
	}
	if got := w.status(t, "services/shop-3"); got != http.StatusOK {
		t.Fatalf("there is no gap: %d; say so in doc.go", got)
	}
	if asked, err := d.Diff(t.Context(), planOf(3, shop(2))); err != nil || !strings.Contains(asked.Text, "delete Service shop-3\n") {
		t.Errorf("nobody is told: %+v, %v", asked, err)
	}
	if _, _, err := release(t, d, 3, first, shop(0)); err != nil {
		t.Fatal(err)
	}
	if got := w.status(t, "services/shop-3"); got != http.StatusNotFound {
		t.Errorf("it is still there: %d", got)
	}
}

func TestWhatTheExecutorMayNotDoIsKnownBeforeAnythingIsChanged(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	// The role of the test lets the executor make no roles.
	manifests := shop(1) + `---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: shop}
rules: []
`
	for manifests, want := range map[string]string{
		manifests: "forbidden",
		"{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: shop}}": "lies in no namespace",
		"{apiVersion: example.test/v1, kind: Shop, metadata: {name: shop}}":                     "the server has no kind Shop of example.test/v1",
	} {
		asked, err := d.Diff(t.Context(), planOf(1, manifests))
		if err != nil || !strings.Contains(asked.Failed, want) || asked.Digest() != "" {
			t.Errorf("what would change: %+v, %v; want something of %q", asked, err, want)
		}
	}
	if _, _, err := release(t, d, 1, driver.Plan{}, manifests); err == nil || w.deployment(t) != nil {
		t.Errorf("got %v; deployment %v", err, w.deployment(t))
	}
}

// kind gives the server a kind of two versions, which the executor may write, and returns its
// group.
func (w world) kind(t *testing.T) string {
	t.Helper()
	group := w.namespace + ".example.test"
	version := func(name string, stored bool) object {
		return object{"name": name, "served": true, "storage": stored, "schema": object{"openAPIV3Schema": object{"type": "object"}}}
	}
	w.admin.Must(t, http.MethodPost, definitions, object{
		"metadata": object{"name": "shops." + group},
		"spec": object{
			"group": group, "scope": "Namespaced", "names": object{"kind": "Shop", "plural": "shops"},
			"versions": []object{version("v1", true), version("v1beta1", false)},
		},
	})
	const rbac = "rbac.authorization.k8s.io"
	roles := "/apis/" + rbac + "/v1/namespaces/" + w.namespace + "/"
	w.admin.Must(t, http.MethodPost, roles+"roles", object{
		"metadata": object{"name": "shops"}, "rules": []object{{"apiGroups": []string{group}, "resources": []string{"*"}, "verbs": []string{"*"}}},
	})
	w.admin.Must(t, http.MethodPost, roles+"rolebindings", object{
		"metadata": object{"name": "shops"}, "roleRef": object{"apiGroup": rbac, "kind": "Role", "name": "shops"},
		"subjects": []object{{"apiGroup": rbac, "kind": "User", "name": "executor"}},
	})
	w.served(t, group, "v1beta1", http.StatusOK)
	return group
}

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// served waits until the server answers so for the kind, and says so where it lists its kinds.
func (w world) served(t *testing.T, group, version string, want int) {
	t.Helper()
	kubetest.Eventually(t, "the server has changed its kinds", func() bool {
		return w.admin.Status(t, http.MethodGet, "/apis/"+group+"/"+version+"/namespaces/"+w.namespace+"/shops", nil) == want &&
			w.admin.Status(t, http.MethodGet, "/apis/"+group+"/"+version, nil) == want
	})
}

func TestAKindThatTheServerHasNoMoreDoesNotHoldTheTarget(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]bool{"for who knew it": false, "for who never did": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			group := w.kind(t)
			d := w.driver(t, kubernetes.Options{})
			custom := "---\n{apiVersion: " + group + "/v1, kind: Shop, metadata: {name: shop}}\n"
			first, _, err := release(t, d, 1, driver.Plan{}, shop(1)+custom)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			begun := planOf(2, shop(2))
			begun.Previous = first.Artifact.Digest
			stopped := w.driver(t, kubernetes.Options{At: func(point string) {
				if point == kubernetes.PointPlaced {
					cancel()
				}
			}})
			if _, err := stopped.Apply(ctx, driver.ApplyKey("shop-2", 0, 1), at(20), begun); !errors.Is(err, context.Canceled) {
				t.Fatalf("it was to be stopped in the middle: %v", err)
			}
			w.admin.Must(t, http.MethodDelete, definitions+"/shops."+group, nil)
			w.served(t, group, "v1", http.StatusNotFound)
			if fresh {
				d = w.driver(t, kubernetes.Options{})
			}
			if status, err := d.Seal(t.Context(), driver.ApplyKey("shop-2", 0, 1), at(20)); status != driver.StatusStarted || err != nil {
				t.Errorf("seal: %s, %v", status, err)
			}
			if err := back(t, d, 2, begun); !errors.Is(err, driver.ErrUnsupported) {
				t.Errorf("what has such an object is placed: %v", err)
			}
			if asked, err := d.Diff(t.Context(), planOf(3, shop(2))); err != nil || asked.Failed != "" || strings.Contains(asked.Text, "Shop") {
				t.Errorf("what would change: %+v, %v", asked, err)
			}
			if _, _, err := release(t, d, 3, first, shop(2)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnObjectWhoseVersionTheServerHasNoMoreIsDeletedByAnother(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]bool{"by who knew it": false, "by who never did": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			group := w.kind(t)
			d := w.driver(t, kubernetes.Options{})
			first, _, err := release(t, d, 1, driver.Plan{}, shop(1)+"---\n{apiVersion: "+group+"/v1beta1, kind: Shop, metadata: {name: shop}}\n")
			if err != nil {
				t.Fatal(err)
			}
			definition := w.admin.Must(t, http.MethodGet, definitions+"/shops."+group, nil)
			old, _ := kubetest.Field(definition, "spec", "versions", 1).(object)
			old["served"] = false
			w.admin.Must(t, http.MethodPut, definitions+"/shops."+group, definition)
			w.served(t, group, "v1beta1", http.StatusNotFound)
			if fresh {
				d = w.driver(t, kubernetes.Options{})
			}
			if asked, err := d.Diff(t.Context(), planOf(2, shop(2))); err != nil || !strings.Contains(asked.Text, "delete Shop shop\n") {
				t.Errorf("what would change: %+v, %v", asked, err)
			}
			if _, _, err := release(t, d, 2, first, shop(2)); err != nil {
				t.Error(err)
			}
			if got := w.admin.Status(t, http.MethodGet, "/apis/"+group+"/v1/namespaces/"+w.namespace+"/shops/shop", nil); got != http.StatusNotFound {
				t.Errorf("it is still there: %d", got)
			}
		})
	}
}

func TestAKubeconfigThatWasReplacedCountsAtOnce(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(t, kubernetes.Options{})
	if _, err := d.Running(t.Context()); err != nil {
		t.Fatal(err)
	}
	replace := func(who kubetest.Identity) {
		copyFile(t, kubetest.Shared(t).Kubeconfig(t, who, w.namespace), config(w.folder).GetKubeconfigFile())
	}
	replace(kubetest.Validator)
	if _, _, err := release(t, d, 1, driver.Plan{}, shop(1)); err == nil || !strings.Contains(err.Error(), `"validator"`) {
		t.Errorf("got %v", err)
	}
	replace(kubetest.Executor)
	if _, _, err := release(t, d, 1, driver.Plan{}, shop(1)); err != nil {
		t.Error(err)
	}
}

// The page says which rights are needed; fewer would be found out in production.
func TestTheRoleOfThePageIsEnough(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\napiVersion: rbac")
	text, _, _ = strings.Cut("apiVersion: rbac"+text, "```")
	role := object{}
	if err := yaml.Unmarshal([]byte(text), &role); err != nil {
		t.Fatal(err)
	}
	w := open(t)
	const group = "rbac.authorization.k8s.io"
	roles := "/apis/" + group + "/v1/namespaces/" + w.namespace + "/"
	w.admin.Must(t, http.MethodDelete, roles+"rolebindings/kubetest-executor", nil)
	d := w.driver(t, kubernetes.Options{})
	kubetest.Eventually(t, "the executor has no rights", func() bool {
		_, err := d.Running(t.Context())
		return err != nil && strings.Contains(err.Error(), "forbidden")
	})
	w.admin.Must(t, http.MethodPost, roles+"roles", role)
	w.admin.Must(t, http.MethodPost, roles+"rolebindings", object{
		"metadata": object{"name": "shipwarden"}, "roleRef": object{"apiGroup": group, "kind": "Role", "name": "shipwarden"},
		"subjects": []object{{"apiGroup": group, "kind": "User", "name": "executor"}},
	})
	kubetest.Eventually(t, "the executor has those of the page", func() bool {
		_, err := d.Running(t.Context())
		return err == nil
	})
	var last driver.Plan
	for n := 1; n <= 12; n++ { // More versions than are kept.
		p, _, err := release(t, d, n, last, shop(n%3+1)+fmt.Sprintf("# %d\n", n))
		if err != nil {
			t.Fatal(err)
		}
		last = p
	}
	if err := back(t, d, 12, last); err != nil {
		t.Error(err)
	}
	if status, err := d.Seal(t.Context(), driver.ApplyKey("shop-13", 0, 1), at(130)); status != driver.StatusNotStarted || err != nil {
		t.Errorf("%s, %v", status, err)
	}
	items, _ := w.admin.Must(t, http.MethodGet, w.path("configmaps")+"?labelSelector=app.kubernetes.io/managed-by=shipwarden", nil)["items"].([]any)
	if len(items) > 13 {
		t.Errorf("%d sets of manifests and the record are kept", len(items))
	}
}
