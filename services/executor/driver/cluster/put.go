package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// Manager is who owns the fields that are applied.
	Manager = "shipwarden"
	// Nowhere is the version of no object: applied with it, an object is created where there
	// is none, and refused where there is one.
	Nowhere = "1"
	// autoscaler and its subresource say whose the number of replicas is that nobody released.
	autoscaler = "kube-controller-manager"
	scale      = "scale"
)

// Live is the object as it is; nil where there is none.
func (n *Namespace) Live(ctx context.Context, c *Server, r Ref) (*unstructured.Unstructured, dynamic.ResourceInterface, error) {
	objects, err := n.resource(c, r.Group, r.Version, r.Kind)
	if err != nil {
		return nil, nil, err
	}
	found, err := objects.Get(ctx, r.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse):
		// Nothing is there where the kind was.
		c.mapper.Reset()
		return nil, nil, noKind(r.Group, r.Version, r.Kind)
	case apierrors.IsNotFound(err):
		return nil, objects, nil
	}
	return found, objects, err
}

// former is what is live of an object that was placed before: in another version where the
// server does not have that one any more, and nil where it does not have the kind.
func (n *Namespace) former(ctx context.Context, c *Server, r Ref) (*unstructured.Unstructured, dynamic.ResourceInterface, error) {
	found, objects, err := n.Live(ctx, c, r)
	if !errors.Is(err, errNoKind) {
		return found, objects, err
	}
	if r.Version, err = c.version(r.Group, r.Kind); err != nil || r.Version == "" {
		return nil, nil, err
	}
	if found, objects, err = n.Live(ctx, c, r); errors.Is(err, errNoKind) {
		err = fmt.Errorf("the server is about to change its kind %s", r.Kind) // So it is asked again.
	}
	return found, objects, err
}

// Put applies one object, on condition that it is as it was when the record was looked at.
// Known says that a change before this one has placed it.
func (c Change) Put(ctx context.Context, o *unstructured.Unstructured, stamp string, known bool) error {
	r := RefOf(o)
	err := Again(ctx, func() (bool, error) {
		found, objects, err := c.Live(ctx, c.Server, r)
		if err != nil {
			return false, err
		}
		if err := c.Holds(ctx); err != nil {
			return false, err
		}
		if err := c.Ours(found, known); err != nil {
			return false, err
		}
		wanted := Wants(o, found)
		labels := wanted.GetLabels()
		labels[LabelFence] = stamp
		wanted.SetLabels(labels)
		wanted.SetResourceVersion(Nowhere)
		if found != nil {
			wanted.SetUID(found.GetUID())
			wanted.SetResourceVersion(found.GetResourceVersion())
		}
		_, err = objects.Apply(ctx, r.Name, wanted, metav1.ApplyOptions{FieldManager: Manager})
		if Moved(err) {
			return false, nil
		}
		return err == nil, Refusal(r, err)
	})
	if errors.Is(err, driver.ErrConflict) {
		// Perhaps with somebody newer of ours.
		err = cmp.Or(c.Holds(ctx), err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	return nil
}

// Refusal makes a *driver.ManualChange of the error that says that a field is somebody else's.
func Refusal(r Ref, err error) error {
	if theirs := Foreign(r, err); theirs != nil {
		return theirs
	}
	return err
}

// Ours refuses what another target has placed, for it would be no conflict of the same Manager,
// and what was there before: the way back would delete it. What a complete change has placed is
// ours though somebody has taken its label; what one that was not completed may have placed is
// ours by its label alone, for somebody may have made it before it was our turn.
func (n *Namespace) Ours(found *unstructured.Unstructured, known bool) error {
	if found == nil {
		return nil
	}
	switch owner := found.GetLabels()[LabelTarget]; {
	case owner != "" && owner != n.Target:
		return fmt.Errorf("%w: it was placed by target %s", driver.ErrConflict, owner)
	case owner == "" && !known:
		return fmt.Errorf("%w: it is there already and was not placed by this target: remove it, or leave it out", &driver.ManualChange{
			Object: RefOf(found).String(), Manager: maker(found),
		})
	}
	return nil
}

// maker is who was the first to write to an object, as far as its server knows; "" where it
// does not.
func maker(found *unstructured.Unstructured) string {
	for _, by := range found.GetManagedFields() {
		if by.Manager != Manager && by.Subresource == "" {
			return by.Manager
		}
	}
	return ""
}

// Wants is what is applied: the object, without the number of replicas where an autoscaler
// has set it.
func Wants(o, found *unstructured.Unstructured) *unstructured.Unstructured {
	wanted := o.DeepCopy()
	if found != nil && scaled(found) {
		unstructured.RemoveNestedField(wanted.Object, "spec", "replicas")
	}
	return wanted
}

// scaled reports whether an autoscaler has set the number of replicas.
func scaled(found *unstructured.Unstructured) bool {
	for _, owner := range found.GetManagedFields() {
		if owner.Manager == autoscaler && owner.Subresource == scale && owner.FieldsV1 != nil &&
			strings.Contains(owner.FieldsV1.GetRawString(), `"f:replicas"`) {
			return true
		}
	}
	return false
}

// Try has the server say what it would make of each object. It changes nothing, and needs no
// fence. An error that wraps driver.ErrConflict names a field that is somebody else's, or an
// object that is.
func (n *Namespace) Try(ctx context.Context, c *Server, objects Set) ([]Trial, error) {
	remembered, err := n.Load(ctx, c)
	if err != nil {
		return nil, err
	}
	trials := make([]Trial, len(objects))
	for i, o := range objects {
		r := RefOf(o)
		known := remembered.HasPlaced(r)
		if err := Again(ctx, func() (bool, error) {
			found, resource, err := n.Live(ctx, c, r)
			if err != nil {
				return false, err
			}
			if err := n.Ours(found, known); err != nil {
				return false, err
			}
			wanted := Wants(o, found)
			if found != nil {
				// What its controller writes meanwhile would be taken for a part of the change.
				wanted.SetUID(found.GetUID())
				wanted.SetResourceVersion(found.GetResourceVersion())
			}
			would, err := resource.Apply(ctx, r.Name, wanted, metav1.ApplyOptions{FieldManager: Manager, DryRun: []string{metav1.DryRunAll}})
			if Moved(err) {
				return false, nil
			}
			trials[i] = Trial{Ref: r, Known: known, Is: found, Would: would}
			return err == nil, Refusal(r, err)
		}); err != nil {
			return nil, fmt.Errorf("%s: %w", r, err)
		}
	}
	return trials, nil
}

// Trial is an object as it is, nil where there is none, and as it would be.
type Trial struct {
	// Ref is its name.
	Ref Ref
	// Known says that a complete change has placed it.
	Known bool
	// Is is the object as it is, Would as it would be.
	Is, Would *unstructured.Unstructured
}

// Mark writes a mark to an object of ours that is there, so that whoever has read it before
// cannot write to it any more. Nobody of ours writes to what is somebody else's. Known says that a
// complete change has placed it.
func (n *Namespace) Mark(ctx context.Context, c *Server, r Ref, stamp string, known bool) error {
	err := Again(ctx, func() (bool, error) {
		found, objects, err := n.former(ctx, c, r)
		if err != nil || n.Ours(found, known) != nil || found == nil {
			return err == nil, err
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"resourceVersion": found.GetResourceVersion(), "labels": map[string]string{labelSealed: stamp},
		}})
		if err != nil {
			return false, err
		}
		_, err = objects.Patch(ctx, r.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: Manager})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	return nil
}

// Prune deletes what the record knows and the set does not have. It says how many it deleted,
// and which it did not find for the first time.
func (c Change) Prune(ctx context.Context, r Record) (deleted int, missing []Ref, err error) {
	wanted := c.Objects.Refs()
	for _, old := range Union(r.Objects, r.Doubtful) {
		if Has(wanted, old) {
			continue
		}
		gone, err := c.remove(ctx, old)
		switch {
		case err != nil:
			return deleted, nil, fmt.Errorf("%s: %w", old, err)
		case gone:
			deleted++
		case Has(r.Objects, old):
			missing = append(missing, old)
		}
	}
	return deleted, missing, nil
}

// remove deletes one object of ours; gone says that it was there.
func (c Change) remove(ctx context.Context, r Ref) (gone bool, err error) {
	err = Again(ctx, func() (bool, error) {
		found, objects, err := c.former(ctx, c.Server, r)
		if err != nil || found == nil {
			return err == nil, err
		}
		if err := c.Holds(ctx); err != nil {
			return false, err
		}
		if found.GetDeletionTimestamp() != nil {
			return true, nil
		}
		// Somebody has made one of that name by himself.
		if found.GetLabels()[LabelTarget] != c.Target || c.Stays != nil && c.Stays(found) {
			return true, nil
		}
		uid, version, background := found.GetUID(), found.GetResourceVersion(), metav1.DeletePropagationBackground
		err = objects.Delete(ctx, r.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}, PropagationPolicy: &background,
		})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return false, nil
		}
		gone = err == nil || gone
		return err == nil, err
	})
	return gone, err
}
