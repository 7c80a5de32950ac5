package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"
	memory "helm.sh/helm/v4/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

// material is what a release is made of: an archive, and values that may be seen.
type material struct {
	Chart  []byte         `json:"chart"`
	Values map[string]any `json:"values"`
	part   string
}

// kept names the material of a digest, as the namespace keeps it.
func kept(digest, part string) cluster.Kept {
	return cluster.Kept{Digest: digest, Part: part, Called: "chart.json.gz", What: "its chart and values"}
}

func (m material) keep(ctx context.Context, d *Driver, s *cluster.Server, digest, version string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	k := kept(digest, m.part)
	k.Version, k.Text = version, text
	return d.Keep(ctx, s, k)
}

// former is the material that was placed with a digest. Errors wrap driver.ErrNoWayBack where it is not
// there, or not as it was.
func (d *Driver) former(ctx context.Context, s *cluster.Server, r cluster.Record, digest string) (m material, version string, err error) {
	placed, ok := r.Placed[digest]
	if !ok {
		return m, "", fmt.Errorf("the record of the target knows no change to it that was completed: %w", driver.ErrNoWayBack)
	}
	k, err := d.Find(ctx, s, kept(digest, placed.Part))
	if err != nil {
		return m, "", err
	}
	if err := json.Unmarshal(k.Text, &m); err != nil {
		return m, "", fmt.Errorf("its chart and values: %w: %w", driver.ErrNoWayBack, err)
	}
	m.part = placed.Part
	return m, k.Version, nil
}

// content is what a release has the server carry.
type content struct {
	// objects are those that stay, hooks those that are made in passing and when.
	objects, hooks cluster.Set
	events         []string
	// others are what the chart makes in passing at other times, as at its installation: Helm leaves
	// them, and so does this.
	others []cluster.Ref
	// text is what Helm has made of the chart, made what the chart makes.
	text string
	made apart.Made
}

func (c content) all() cluster.Set { return slices.Concat(c.objects, c.hooks) }

// render has the objects of a chart made, with what the server is able to do, as its next revision would
// be; nothing is changed.
func (d *Driver) render(ctx context.Context, s *cluster.Server, m material, history []revision) (content, []string, error) {
	all, hidden, err := d.values.reveal(m.Values)
	if err != nil {
		return content{}, nil, err
	}
	if err := unpacks(m.Chart); err != nil {
		return content{}, hidden, err
	}
	g := &gate{server: s, hidden: hidden}
	helm, err := d.through(ctx, g)
	if err != nil {
		return content{}, hidden, err
	}
	made, told, err := d.makes(ctx, g, m.Chart, all, history)
	hidden = append(hidden, told...)
	g.hidden = hidden
	if err != nil {
		return content{}, hidden, scrubbed{fmt.Errorf("render the chart: %w", err), hidden}
	}
	rehearsed, err := d.rehearse(ctx, helm, made.Literal(), all, history)
	if err != nil {
		return content{}, hidden, scrubbed{fmt.Errorf("render the chart: %w", err), hidden}
	}
	r, ok := rehearsed.(*release.Release)
	if !ok {
		return content{}, hidden, fmt.Errorf("render the chart: %w", driver.ErrUnsupported)
	}
	events := []release.HookEvent{release.HookPreInstall, release.HookPostInstall}
	if len(history) > 0 {
		events = []release.HookEvent{release.HookPreUpgrade, release.HookPostUpgrade}
	}
	c, err := d.contentOf(r, events)
	if err != nil {
		err = scrubbed{err, hidden}
	}
	c.made = made
	return c, hidden, err
}

// makes has a chart make what it makes as the next revision, apart from this process, and returns the
// secrets that it was told for it.
func (d *Driver) makes(ctx context.Context, g *gate, chart []byte, values map[string]any, history []revision) (made apart.Made, told []string, err error) {
	able, err := capabilities(g.server)
	if err != nil {
		return made, nil, err
	}
	next := apart.Release{Name: d.release, Namespace: d.Name, Revision: 1, Install: len(history) == 0}
	if !next.Install {
		next.Revision = history[len(history)-1].number + 1
	}
	asked, err := d.asker(g)
	if err != nil {
		return made, nil, err
	}
	made, err = apart.Make(ctx, d.limits, apart.Order{Chart: chart, Values: values, Release: &next, Capabilities: able}, asked)
	if asked.denied != nil {
		err = asked.denied // Whatever the chart has made of it.
	}
	return made, asked.told, err
}

// rehearse has Helm make a release of which nothing is placed: an installation, or the revision after the
// newest. The chart is a literal one.
func (d *Driver) rehearse(ctx context.Context, helm *action.Configuration, c *chart.Chart, values map[string]any, history []revision) (any, error) {
	if len(history) == 0 {
		install := action.NewInstall(helm)
		install.DryRunStrategy, install.SkipCRDs = action.DryRunServer, true
		install.ReleaseName, install.Namespace, install.ServerSideApply = d.release, d.Name, true
		return install.RunWithContext(ctx, c, values)
	}
	// A history that has nothing but the number: the newest one may be pending, by which a rehearsal ends.
	short := memory.NewMemory()
	short.SetNamespace(d.Name)
	helm.Releases = storage.Init(short)
	if err := helm.Releases.Create(&release.Release{
		Name: d.release, Namespace: d.Name, Version: history[len(history)-1].number, Chart: c,
		Info: &release.Info{Status: common.StatusDeployed}, ApplyMethod: string(release.ApplyMethodServerSideApply),
	}); err != nil {
		return nil, err
	}
	upgrade := action.NewUpgrade(helm)
	upgrade.DryRunStrategy, upgrade.SkipCRDs, upgrade.Namespace = action.DryRunServer, true, d.Name
	// Whose the objects are that are there is asked by us.
	upgrade.ResetValues, upgrade.ServerSideApply, upgrade.TakeOwnership = true, "true", true
	return upgrade.RunWithContext(ctx, d.release, c, values)
}

// contentOf reads what Helm has made, and refuses what does not belong into the namespace.
func (d *Driver) contentOf(r *release.Release, events []release.HookEvent) (content, error) {
	c := content{text: r.Manifest}
	rules := cluster.Rules{Secrets: true, Jobs: true}
	objects, err := d.Parse([][]byte{[]byte(r.Manifest)}, rules)
	if err != nil {
		return c, fmt.Errorf("what the chart makes: %w", err)
	}
	c.objects = objects
	for _, h := range r.Hooks {
		var when []string
		for _, e := range h.Events {
			if slices.Contains(events, e) {
				when = append(when, e.String())
			}
		}
		hook, err := d.Parse([][]byte{[]byte(h.Manifest)}, rules)
		switch {
		case len(when) == 0 && err != nil:
			continue // A test for instance, which nobody runs here.
		case len(when) == 0:
			c.others = append(c.others, hook.Refs()...)
			continue
		case err != nil:
			return c, fmt.Errorf("hook %s of the chart: %w", h.Path, err)
		}
		c.text += h.Manifest
		for range hook {
			c.events = append(c.events, strings.Join(when, ", "))
		}
		c.hooks = append(c.hooks, hook...)
	}
	for _, o := range c.all() {
		if o.GetKind() == "Secret" && strings.HasPrefix(o.GetName(), history) {
			return c, fmt.Errorf("%s has a name that is kept for Helm's history: %w", cluster.RefOf(o), driver.ErrInvalid)
		}
	}
	// What Helm adds to each object.
	for _, o := range c.objects {
		labels, annotations := o.GetLabels(), o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		labels["app.kubernetes.io/managed-by"] = "Helm"
		annotations["meta.helm.sh/release-name"], annotations["meta.helm.sh/release-namespace"] = d.release, d.Name
		o.SetLabels(labels)
		o.SetAnnotations(annotations)
	}
	return c, nil
}

// stays reports whether what is not wanted any more is left alone.
func (c content) stays(o *unstructured.Unstructured) bool {
	return stays(o) || cluster.Has(c.others, cluster.RefOf(o))
}

// stays reports whether a chart has said of an object that it is never to be deleted.
func stays(o *unstructured.Unstructured) bool {
	return o.GetAnnotations()["helm.sh/resource-policy"] == "keep"
}

// try has the server say what it would refuse. What somebody else has changed is an error, or with
// force is said in overrules.
func (d *Driver) try(ctx context.Context, s *cluster.Server, c content, force bool) (overrules []string, err error) {
	for _, o := range c.objects {
		_, err := d.Try(ctx, s, cluster.Set{o})
		switch {
		case force && owned(err):
			overrules = append(overrules, err.Error())
		case err != nil:
			return nil, err
		}
	}
	for _, o := range c.hooks {
		if err := d.tryHook(ctx, s, o); err != nil {
			return nil, fmt.Errorf("hook: %w", err)
		}
	}
	return overrules, nil
}

// owned reports whether a field of an object that is ours belongs to somebody else.
func owned(err error) bool {
	theirs := (*driver.ManualChange)(nil)
	return errors.As(err, &theirs) && theirs.Field != ""
}

// tryHook tries a hook that is not there: one that is will be deleted before, as a rule.
func (d *Driver) tryHook(ctx context.Context, s *cluster.Server, o *unstructured.Unstructured) error {
	r := cluster.RefOf(o)
	return cluster.Again(ctx, func() (bool, error) {
		found, objects, err := d.Live(ctx, s, r)
		if err != nil {
			return false, err
		}
		// One that was made by somebody else since would be deleted as well.
		if err := d.Ours(found, false); err != nil || found != nil {
			return err == nil, err
		}
		_, err = objects.Apply(ctx, r.Name, o, metav1.ApplyOptions{FieldManager: cluster.Manager, DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsNotFound(err) {
			return false, err
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", r, err)
		}
		return true, nil
	})
}
