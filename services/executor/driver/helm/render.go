package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	release "helm.sh/helm/v4/pkg/release/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
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
	// text is what Helm has made of the chart.
	text string
}

func (c content) all() cluster.Set { return slices.Concat(c.objects, c.hooks) }

// render has Helm make the objects of a chart, with what the server is able to do; nothing is changed.
func (d *Driver) render(ctx context.Context, s *cluster.Server, m material, upgrade bool) (content, []string, error) {
	all, hidden, err := d.values.reveal(m.Values)
	if err != nil {
		return content{}, nil, err
	}
	chart, err := load(m.Chart)
	if err != nil {
		return content{}, hidden, err
	}
	helm, err := d.through(ctx, &gate{server: s, hidden: hidden})
	if err != nil {
		return content{}, hidden, err
	}
	install := action.NewInstall(helm)
	install.DryRunStrategy, install.SkipCRDs, install.IsUpgrade = action.DryRunServer, true, upgrade
	install.ReleaseName, install.Namespace, install.ServerSideApply = d.release, d.Name, true
	made, err := install.RunWithContext(ctx, chart, all)
	if err != nil {
		return content{}, hidden, scrubbed{fmt.Errorf("render the chart: %w", err), hidden}
	}
	r, ok := made.(*release.Release)
	if !ok {
		return content{}, hidden, fmt.Errorf("render the chart: %w", driver.ErrUnsupported)
	}
	events := []release.HookEvent{release.HookPreInstall, release.HookPostInstall}
	if upgrade {
		events = []release.HookEvent{release.HookPreUpgrade, release.HookPostUpgrade}
	}
	c, err := d.contentOf(r, events)
	if err != nil {
		err = scrubbed{err, hidden}
	}
	return c, hidden, err
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
		if len(when) == 0 {
			continue // A test for instance, which nobody runs here.
		}
		c.text += h.Manifest
		hook, err := d.Parse([][]byte{[]byte(h.Manifest)}, rules)
		if err != nil {
			return c, fmt.Errorf("hook %s of the chart: %w", h.Path, err)
		}
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
	remembered, err := d.Load(ctx, s)
	if err != nil {
		return err
	}
	return cluster.Again(ctx, func() (bool, error) {
		found, objects, err := d.Live(ctx, s, r)
		if err != nil {
			return false, err
		}
		if err := d.Ours(found, remembered.HasPlaced(r)); err != nil || found != nil {
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
