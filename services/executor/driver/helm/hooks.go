package helm

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	release "helm.sh/helm/v4/pkg/release/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// leaveOut has Helm leave out the hooks before an upgrade that have succeeded for this very key already, by
// what its history says of the newest revision: that of a run that was lost, or of one after which Helm is
// asked again. A hook that is to run after the upgrade as well runs again, and so does one that is another
// one by now.
func (c *change) leaveOut(helm *action.Configuration, effect string) error {
	if c.target != 0 || len(c.history) == 0 {
		return nil
	}
	newest := c.history[len(c.history)-1]
	if newest.key != string(c.Key) || newest.labels[labelEffect] != effect {
		return nil
	}
	r, err := of(helm, c.driver.release, newest.number)
	if err != nil {
		return err
	}
	ran := map[string]bool{}
	for _, h := range r.Hooks {
		if h.LastRun.Phase == release.HookPhaseSucceeded && slices.Contains(h.Events, release.HookPreUpgrade) && !slices.Contains(h.Events, release.HookPostUpgrade) {
			ran[h.Manifest] = true
			c.repaired = append(c.repaired, fmt.Sprintf("hook %s has run for revision %d, and is not run again", h.Name, newest.number))
		}
	}
	if len(ran) == 0 {
		return nil
	}
	client, ok := helm.KubeClient.(*kube.Client)
	if !ok {
		return fmt.Errorf("leave out hooks: a client of another kind: %w", driver.ErrUnsupported)
	}
	helm.KubeClient = leaving{Client: client, ran: ran}
	return nil
}

// leaving is Helm's client, for which a hook that has run is nothing at all.
type leaving struct {
	*kube.Client
	ran map[string]bool
}

// Build implements kube.Interface.
func (l leaving) Build(text io.Reader, validate bool) (kube.ResourceList, error) {
	all, err := io.ReadAll(text)
	if err != nil || l.ran[string(all)] {
		return nil, err
	}
	return l.Client.Build(bytes.NewReader(all), validate)
}

// Create implements kube.Interface.
func (l leaving) Create(all kube.ResourceList, options ...kube.ClientCreateOption) (*kube.Result, error) {
	if len(all) == 0 {
		return &kube.Result{}, nil
	}
	return l.Client.Create(all, options...)
}

// Delete implements kube.Interface.
func (l leaving) Delete(all kube.ResourceList, policy metav1.DeletionPropagation) (*kube.Result, []error) {
	if len(all) == 0 {
		return &kube.Result{}, nil
	}
	return l.Client.Delete(all, policy)
}

// GetWaiterWithOptions implements kube.InterfaceWaitOptions.
func (l leaving) GetWaiterWithOptions(strategy kube.WaitStrategy, options ...kube.WaitOption) (kube.Waiter, error) {
	w, err := l.Client.GetWaiterWithOptions(strategy, options...)
	return noWaiter{w}, err
}

// noWaiter waits for nothing where there is nothing.
type noWaiter struct{ kube.Waiter }

// WaitForDelete implements kube.Waiter.
func (w noWaiter) WaitForDelete(all kube.ResourceList, most time.Duration) error {
	if len(all) == 0 {
		return nil
	}
	return w.Waiter.WaitForDelete(all, most)
}

// WatchUntilReady implements kube.Waiter.
func (w noWaiter) WatchUntilReady(all kube.ResourceList, most time.Duration) error {
	if len(all) == 0 {
		return nil
	}
	return w.Waiter.WatchUntilReady(all, most)
}
