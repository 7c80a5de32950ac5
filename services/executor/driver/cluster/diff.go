package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff is the answer to what would change, from what Differences says of it.
func Diff(ctx context.Context, text string, err error) (driver.Diff, error) {
	switch {
	case ctx.Err() != nil:
		return driver.Diff{}, context.Cause(ctx)
	case err != nil:
		return driver.Diff{Asked: true, Failed: Told(err).Error()}, nil
	}
	said := argv.Cut([]byte(text))
	return driver.Diff{Asked: true, Text: string(said.Text), Last: said.LastLine(), LeftOut: said.Total > argv.MaxOutput}, nil
}

// Shown is all of an object, as Differences has that which is to be created.
func (e Eyes) Shown(o *unstructured.Unstructured) string {
	r := RefOf(o)
	return differences(r.String(), nil, strip(o), e.hides(r), e.Veil)
}

// Differences has the server say what each object would be (a dry run), and says what differs from
// what is there: in a line each, of what looks like a secret that it changes, with the digest of all
// that is hidden in the line before the last. It changes nothing.
func (n *Namespace) Differences(ctx context.Context, objects Set, eyes Eyes) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, LookTime)
	defer cancel()
	c, err := n.Open()
	if err != nil {
		return "", err
	}
	r, err := n.Load(ctx, c)
	if err != nil {
		return "", err
	}
	trials, err := n.Try(ctx, c, objects)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	// A kubeconfig is replaced: an answer of one server must not stand for another.
	fmt.Fprintf(&out, "namespace %s of %s\n", n.Name, Address(c.Address))
	var created, changed, deleted int
	for _, t := range trials {
		differs := differences(t.Ref.String(), strip(t.Is), strip(t.Would), eyes.hides(t.Ref), eyes.Veil) + eyes.others(t.Is)
		switch {
		case t.Is == nil:
			if eyes.Stays == nil || !eyes.Stays(t.Would) {
				if err := n.mayDelete(ctx, c, t.Ref); err != nil {
					return "", fmt.Errorf("%s could not be deleted again: %w", t.Ref, err)
				}
			}
			created++
			fmt.Fprintf(&out, "create %s\n%s", t.Ref, differs)
		case differs != "":
			changed++
			fmt.Fprintf(&out, "change %s\n%s", t.Ref, differs)
		}
	}
	wanted := objects.Refs()
	for _, old := range Union(r.Objects, r.Doubtful) {
		if Has(wanted, old) {
			continue
		}
		deletes, err := n.tryDelete(ctx, c, old, eyes.Stays)
		if err != nil {
			return "", fmt.Errorf("%s cannot be deleted: %w", old, err)
		}
		if deletes {
			deleted++
			fmt.Fprintf(&out, "delete %s\n", old)
		}
	}
	out.WriteString(eyes.Veil.line())
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
	for _, mark := range []string{LabelFence, labelSealed} {
		unstructured.RemoveNestedField(content, "metadata", "labels", mark)
	}
	return content
}

// differences has a line for each value that one of the two has and the other has not. One that
// looks like a secret on either side is hidden by the veil, as that of the object.
func differences(object string, is, would map[string]any, hidden func(path, text string) bool, veil *Veil) string {
	before, after := map[string]leaf{}, map[string]leaf{}
	leaves(before, "", false, is)
	leaves(after, "", false, would)
	all := maps.Clone(before)
	maps.Copy(all, after)
	var out strings.Builder
	for _, path := range slices.Sorted(maps.Keys(all)) {
		old, was := before[path]
		now, is := after[path]
		secret := old.secret || now.secret || hidden != nil && (hidden(path, old.text) || hidden(path, now.text))
		shown := func(side string, l leaf) string {
			text, all := l.shown(secret)
			if !all {
				veil.Hide(object, path, side, l.text)
			}
			return text
		}
		switch {
		case was && is && old.text == now.text:
		case was && is:
			fmt.Fprintf(&out, "  %s: %s -> %s\n", path, shown("is", old), shown("would", now))
		case was:
			fmt.Fprintf(&out, "  - %s: %s\n", path, shown("is", old))
		default:
			fmt.Fprintf(&out, "  + %s: %s\n", path, shown("would", now))
		}
	}
	return out.String()
}

// Compare has a line for each value that one of two trees has and the other has not, or has
// otherwise, by its place. One that looks like a secret on either side is hidden by the veil, as that
// of the object.
func Compare(object string, is, would map[string]any, veil *Veil) string {
	return differences(object, is, would, nil, veil)
}
