package cluster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// mayDelete has the server say whether the executor may delete an object that is not there
// yet: the way back would, and finds out too late.
func (n *Namespace) mayDelete(ctx context.Context, c *Server, r Ref) error {
	return Again(ctx, func() (bool, error) {
		objects, err := n.resource(c, r.Group, r.Version, r.Kind)
		if err != nil {
			return false, err
		}
		none := types.UID("none") // So that nothing is, whatever becomes of the dry run.
		err = objects.Delete(ctx, r.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &none}, DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			err = nil
		}
		return err == nil, err
	})
}

// TryDeletes has the server say whether it would delete what the record knows and the set does
// not have, but for what stays; stays is that of Change.
func (n *Namespace) TryDeletes(ctx context.Context, c *Server, r Record, objects Set, stays func(*unstructured.Unstructured) bool) error {
	wanted := objects.Refs()
	for _, old := range Union(r.Objects, r.Doubtful) {
		if Has(wanted, old) {
			continue
		}
		if _, err := n.tryDelete(ctx, c, old, stays); err != nil {
			return fmt.Errorf("%s cannot be deleted: %w", old, err)
		}
	}
	return nil
}

// tryDelete reports whether an object is there to be deleted, and has the server say whether
// it would.
func (n *Namespace) tryDelete(ctx context.Context, c *Server, r Ref, stays func(*unstructured.Unstructured) bool) (there bool, err error) {
	err = Again(ctx, func() (bool, error) {
		found, objects, err := n.former(ctx, c, r)
		there = found != nil && found.GetDeletionTimestamp() == nil && found.GetLabels()[LabelTarget] == n.Target &&
			(stays == nil || !stays(found))
		if err != nil || !there {
			return err == nil, err
		}
		uid, background := found.GetUID(), metav1.DeletePropagationBackground
		err = objects.Delete(ctx, r.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background, DryRun: []string{metav1.DryRunAll},
		})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return false, nil // It is another one by now, or none.
		}
		return err == nil, err
	})
	return there, err
}
