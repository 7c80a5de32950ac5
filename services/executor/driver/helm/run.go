package helm

import (
	"context"
	"errors"
	"fmt"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	releases "helm.sh/helm/v4/pkg/release"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	storage "helm.sh/helm/v4/pkg/storage/driver"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// run has Helm do it, and says which revision is ready by then.
func (c *change) run(ctx context.Context, g *gate) (number int, err error) {
	helm, err := c.driver.through(ctx, g)
	if err != nil {
		return 0, err
	}
	if err := c.repair(helm); err != nil {
		return 0, errors.Join(err, g.failed())
	}
	if n := len(c.history); n > 0 && c.history[n-1].status == string(common.StatusDeployed) && c.history[n-1].key != "" && c.history[n-1].labels[labelEffect] == g.effect {
		// Whoever was lost was lost after that; what has hooks does not run them again.
		c.repaired = append(c.repaired, fmt.Sprintf("revision %d was through when a run of it was lost", c.history[n-1].number))
		return c.history[n-1].number, nil
	}
	if err := c.leaveOut(helm, g.effect); err != nil {
		return 0, errors.Join(err, g.failed())
	}
	// Helm leaves its own work running when its context ends. The gate ends it instead, so that nothing
	// is left behind when this returns.
	whole := context.WithoutCancel(ctx)
	wait := []kube.WaitOption{kube.WithWaitContext(ctx)}
	switch {
	case c.target != 0:
		err = c.goBack(helm, wait)
	case len(c.history) == 0:
		err = c.install(whole, helm, wait)
	default:
		err = c.upgrade(whole, helm, wait)
	}
	if err != nil {
		return 0, errors.Join(err, g.failed())
	}
	if err := g.failed(); err != nil {
		return 0, err
	}
	after, err := c.driver.revisions(ctx, c.Server)
	if err != nil {
		return 0, err
	}
	if len(after) == 0 || after[len(after)-1].status != string(common.StatusDeployed) {
		return 0, fmt.Errorf("after Helm was through its history does not say so: %w", driver.ErrConflict)
	}
	return after[len(after)-1].number, nil
}

// description is what Helm's history says of a revision, for whoever looks at it.
func (c *change) description() string { return "shipwarden " + string(c.Key) }

func (c *change) install(ctx context.Context, helm *action.Configuration, wait []kube.WaitOption) error {
	chart, values, err := c.fresh(helm)
	if err != nil {
		return err
	}
	i := action.NewInstall(helm)
	i.ReleaseName, i.Namespace, i.CreateNamespace, i.SkipCRDs = c.driver.release, c.Name, false, true
	i.WaitStrategy, i.WaitOptions, i.WaitForJobs, i.Timeout = kube.StatusWatcherStrategy, wait, true, c.driver.timeout
	i.RollbackOnFailure, i.ServerSideApply, i.Description = false, true, c.description()
	_, err = i.RunWithContext(ctx, chart, values)
	return err
}

func (c *change) upgrade(ctx context.Context, helm *action.Configuration, wait []kube.WaitOption) error {
	chart, values, err := c.fresh(helm)
	if err != nil {
		return err
	}
	u := action.NewUpgrade(helm)
	u.Namespace, u.SkipCRDs, u.MaxHistory, u.ResetValues = c.Name, true, maxHistory, true
	u.WaitStrategy, u.WaitOptions, u.WaitForJobs, u.Timeout = kube.StatusWatcherStrategy, wait, true, c.driver.timeout
	u.RollbackOnFailure, u.CleanupOnFail, u.ServerSideApply, u.Description = false, false, "true", c.description()
	// On the way back alone, and said in the result.
	u.ForceConflicts = c.Back && len(c.overrules) > 0
	_, err = u.RunWithContext(ctx, c.driver.release, chart, values)
	return err
}

// goBack goes back to a revision by the number that the record has: of what Helm calls superseded, some
// was never ready.
func (c *change) goBack(helm *action.Configuration, wait []kube.WaitOption) error {
	r := action.NewRollback(helm)
	r.Version, r.MaxHistory = c.target, maxHistory
	r.WaitStrategy, r.WaitOptions, r.WaitForJobs, r.Timeout = kube.StatusWatcherStrategy, wait, true, c.driver.timeout
	r.CleanupOnFail, r.ServerSideApply, r.Description = false, "true", c.description()
	r.ForceConflicts = len(c.overrules) > 0
	return r.Run(c.driver.release)
}

// fresh is a chart of what was made when the server was asked, with its values; Helm writes into what it
// is given. What it keeps with the release is the chart itself.
func (c *change) fresh(helm *action.Configuration) (literal any, values map[string]any, err error) {
	values, _, err = c.driver.values.reveal(c.Values)
	if err != nil {
		return nil, nil, err
	}
	made := c.content.made.Literal()
	helm.Releases.Driver = keeping{Driver: helm.Releases.Driver, literal: made, chart: c.content.made.Chart}
	return made, values, nil
}

// keeping is Helm's history, in which a release has its chart where Helm has placed a literal one of it.
type keeping struct {
	storage.Driver
	literal, chart *chart.Chart
}

// Create implements storage.Driver.
func (k keeping) Create(key string, r releases.Releaser) error {
	return k.Driver.Create(key, k.whole(r))
}

// Update implements storage.Driver.
func (k keeping) Update(key string, r releases.Releaser) error {
	return k.Driver.Update(key, k.whole(r))
}

func (k keeping) whole(given releases.Releaser) releases.Releaser {
	r, ok := given.(*release.Release)
	if !ok || r.Chart != k.literal {
		return given
	}
	whole := *r
	whole.Chart = k.chart
	return &whole
}

// repair marks as failed what a killed run left pending in Helm's history, for that is Helm's lock.
func (c *change) repair(helm *action.Configuration) error {
	for i, one := range c.history {
		if !one.pending() {
			continue
		}
		r, err := of(helm, c.driver.release, one.number)
		if err != nil {
			return err
		}
		r.SetStatus(common.StatusFailed, "shipwarden: its run was lost; marked by "+string(c.Key))
		if err := helm.Releases.Update(r); err != nil {
			return fmt.Errorf("mark revision %d, which was left %s: %w", one.number, one.status, err)
		}
		c.repaired = append(c.repaired, fmt.Sprintf("revision %d was left %s by a run that was lost, and is marked as failed", one.number, one.status))
		c.history[i].status = string(common.StatusFailed)
	}
	return nil
}
