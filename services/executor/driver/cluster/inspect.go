package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Tolerated is what somebody else may do in a namespace.
type Tolerated struct {
	// Managers may own fields of what was placed.
	Managers []string
	// Workloads says that others have workloads in the namespace.
	Workloads bool
}

// Inspect says what is not as it was placed, for driver.Inspector. An object is held to what was
// placed in two ways, because neither sees all: the server says what placing it again would
// change, which is what was changed or taken away; and each field of an object has an owner,
// which says what was added. Controllers of the server's own may own what they like. The lines
// are sorted, and each is there once.
func (n *Namespace) Inspect(ctx context.Context, c *Server, placed Set, tolerated Tolerated) ([]string, error) {
	var lines []string
	for _, o := range placed {
		found, err := n.altered(ctx, c, o, tolerated.Managers)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", RefOf(o), err)
		}
		lines = append(lines, found...)
	}
	if !tolerated.Workloads {
		strange, err := n.strange(ctx, c)
		if err != nil {
			return nil, err
		}
		lines = append(lines, strange...)
	}
	for i, line := range lines {
		lines[i] = oneLine(line)
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// altered says what is not as it was placed of one object.
func (n *Namespace) altered(ctx context.Context, c *Server, o *unstructured.Unstructured, others []string) ([]string, error) {
	r := RefOf(o)
	var lines []string
	err := Again(ctx, func() (bool, error) {
		lines = nil
		found, objects, err := n.Live(ctx, c, r)
		switch {
		case errors.Is(err, errNoKind):
			lines = []string{r.String() + ": the server has no such kind any more"}
			return true, nil
		case err != nil:
			return false, err
		case found == nil:
			lines = []string{r.String() + ": it was deleted"}
			return true, nil
		}
		wanted := Wants(o, found)
		labels := wanted.GetLabels()
		labels[LabelFence] = found.GetLabels()[LabelFence]
		wanted.SetLabels(labels)
		// What its controller writes between the reading and the asking would look like a change by hand.
		wanted.SetUID(found.GetUID())
		wanted.SetResourceVersion(found.GetResourceVersion())
		would, err := objects.Apply(ctx, r.Name, wanted, metav1.ApplyOptions{FieldManager: Manager, Force: true, DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsNotFound(err) || Moved(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for _, path := range changedPaths(strip(found), strip(would)) {
			lines = append(lines, fmt.Sprintf("%s: %s is not as it was placed", r, path))
		}
		added, err := added(found, others)
		if err != nil {
			return false, final{err}
		}
		for _, a := range added {
			lines = append(lines, fmt.Sprintf("%s: %s", r, a))
		}
		return true, nil
	})
	if f := (final{}); errors.As(err, &f) {
		err = f.error
	}
	return lines, err
}

// changedPaths are the places of values that one of the two has and the other has not, or has
// otherwise.
func changedPaths(is, would map[string]any) []string {
	before, after := map[string]leaf{}, map[string]leaf{}
	leaves(before, "", false, is)
	leaves(after, "", false, would)
	all := maps.Clone(before)
	maps.Copy(all, after)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(path string) bool {
		old, was := before[path]
		now, is := after[path]
		return was == is && old.text == now.text
	})
}

// added are the fields that somebody else owns, besides what is said of every object: its
// labels, annotations and status.
func added(found *unstructured.Unstructured, others []string) ([]string, error) {
	var out []string
	for _, owner := range found.GetManagedFields() {
		if owner.Manager == Manager && owner.Operation == metav1.ManagedFieldsOperationApply ||
			owner.Manager == autoscaler || owner.Subresource == "status" || owner.FieldsV1 == nil || slices.Contains(others, owner.Manager) {
			continue
		}
		var fields fieldpath.Set
		if err := fields.FromJSON(owner.FieldsV1.GetRawReader()); err != nil {
			return nil, fmt.Errorf("read which fields %s owns: %w", owner.Manager, err)
		}
		fields.Leaves().Iterate(func(p fieldpath.Path) {
			if top := p[0].FieldName; top != nil && (*top == "metadata" || *top == "status") {
				return
			}
			out = append(out, fmt.Sprintf("%s is %s's", strings.TrimPrefix(p.String(), "."), owner.Manager))
		})
	}
	return out, nil
}

// workloads are the kinds of which one that nobody released is an unrecorded change.
var workloads = []Ref{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "batch", Version: "v1", Kind: "CronJob"},
	{Version: "v1", Kind: "Pod"},
}

// strange are the workloads of the namespace that no target of ours has placed, and that no
// other object is responsible for.
func (n *Namespace) strange(ctx context.Context, c *Server) ([]string, error) {
	var lines []string
	for _, kind := range workloads {
		var found *unstructured.UnstructuredList
		err := Again(ctx, func() (bool, error) {
			objects, err := n.resource(c, kind.Group, kind.Version, kind.Kind)
			if err != nil {
				return false, err
			}
			found, err = objects.List(ctx, metav1.ListOptions{LabelSelector: "!" + LabelTarget})
			return err == nil, err
		})
		if err != nil {
			return nil, fmt.Errorf("list what has the kind %s: %w", kind.Kind, err)
		}
		for _, o := range found.Items {
			if metav1.GetControllerOf(&o) == nil {
				lines = append(lines, RefOf(&o).String()+": no release has placed it")
			}
		}
	}
	return lines, nil
}

// oneLine is the text without what could make another line of it.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, text)
}
