package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/argv"
)

// Diff implements driver.Driver: the server says what each object would be (a dry run), and
// the answer is what differs from what is there. It needs the content of the plan's artifact.
func (d *Driver) Diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	out, err := d.diff(ctx, plan)
	if err != nil {
		return driver.Diff{}, fmt.Errorf("ask what would change on target %s: %w", d.target, err)
	}
	return out, nil
}

func (d *Driver) diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	if err := errors.Join(ctx.Err(), check(plan)); err != nil {
		return driver.Diff{}, err
	}
	objects, err := d.manifests(ctx, plan)
	if err != nil {
		return driver.Diff{}, err
	}
	text, err := d.differences(ctx, objects)
	switch {
	case ctx.Err() != nil:
		return driver.Diff{}, context.Cause(ctx)
	case err != nil:
		return driver.Diff{Asked: true, Failed: err.Error()}, nil //nolint:nilerr // It is the answer.
	}
	said := argv.Cut([]byte(text))
	return driver.Diff{Asked: true, Text: string(said.Text), Last: said.LastLine(), LeftOut: said.Total > argv.MaxOutput}, nil
}

func (d *Driver) differences(ctx context.Context, objects set) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	c, err := d.open()
	if err != nil {
		return "", err
	}
	r, err := d.load(ctx, c)
	if err != nil {
		return "", err
	}
	trials, err := d.try(ctx, c, objects)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	var created, changed, deleted int
	for _, t := range trials {
		differs := differences(strip(t.is), strip(t.would))
		switch {
		case t.is == nil:
			created++
			fmt.Fprintf(&out, "create %s\n%s", t.ref, differs)
		case differs != "":
			changed++
			fmt.Fprintf(&out, "change %s\n%s", t.ref, differs)
		}
	}
	wanted := objects.refs()
	for _, old := range union(r.Objects, r.Doubtful) {
		if has(wanted, old) {
			continue
		}
		var found *unstructured.Unstructured
		if err := again(ctx, func() (bool, error) {
			found, _, err = d.live(ctx, c, old)
			return err == nil, err
		}); err != nil {
			return "", fmt.Errorf("%s: %w", old, err)
		}
		if found != nil && found.GetDeletionTimestamp() == nil && found.GetLabels()[labelTarget] == d.target {
			deleted++
			fmt.Fprintf(&out, "delete %s\n", old)
		}
	}
	fmt.Fprintf(&out, "%d to create, %d to change, %d to delete, %d as they are\n", created, changed, deleted, len(trials)-created-changed)
	return out.String(), nil
}

// strip is what of an object can be released: neither what its controllers say of it, nor
// what the server counts.
func strip(o *unstructured.Unstructured) map[string]any {
	if o == nil {
		return nil
	}
	content := o.DeepCopy().Object
	delete(content, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"} {
		unstructured.RemoveNestedField(content, "metadata", field)
	}
	for _, mark := range []string{labelFence, labelSealed} {
		unstructured.RemoveNestedField(content, "metadata", "labels", mark)
	}
	return content
}

// differences has a line for each value that one of the two has and the other has not.
func differences(is, would map[string]any) string {
	before, after := map[string]string{}, map[string]string{}
	leaves(before, "", is)
	leaves(after, "", would)
	var out strings.Builder
	for _, path := range slices.Sorted(maps.Keys(union2(before, after))) {
		old, was := before[path]
		now, is := after[path]
		switch {
		case was && is && old == now:
		case was && is:
			fmt.Fprintf(&out, "  %s: %s -> %s\n", path, old, now)
		case was:
			fmt.Fprintf(&out, "  - %s: %s\n", path, old)
		default:
			fmt.Fprintf(&out, "  + %s: %s\n", path, now)
		}
	}
	return out.String()
}

func union2(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// leaves are the values of a tree by their paths, in JSON.
func leaves(into map[string]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			leaves(into, strings.TrimPrefix(path+"."+key, "."), inner)
		}
		if len(v) > 0 || path == "" {
			return
		}
	case []any:
		for i, inner := range v {
			leaves(into, fmt.Sprintf("%s[%d]", path, i), inner)
		}
		if len(v) > 0 {
			return
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		text = fmt.Append(nil, value)
	}
	into[path] = string(text)
}
