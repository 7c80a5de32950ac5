package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// pageSize is how many objects one answer has, and maxObjects how many are read of one kind.
	pageSize, maxObjects = 250, 2000
	// maxEnding is how long a pod may be given to end and be left out until then.
	maxEnding = time.Hour
)

// Errors of a look.
var (
	// ErrMany means that there is more than is read.
	ErrMany = errors.New("there are more objects than are looked at")
	// ErrMissing means that an object is not there that was asked for.
	ErrMissing = errors.New("is not there")
)

// Look reads objects of one namespace, and what goes with it in its cluster. One serves one look.
type Look struct {
	*access

	// Namespace is the one that is looked at.
	Namespace string
}

// Look begins a look at a namespace. It reaches nobody.
func (c *Cluster) Look(namespace string) (Look, error) {
	a, err := c.open()
	return Look{a, namespace}, err
}

// Workload is one that runs pods.
type Workload struct {
	Kind, Name string
	// Object is it as the server has it; nil where it is not there.
	Object *unstructured.Unstructured
	// Selector selects its pods.
	Selector labels.Selector
}

// String names the workload.
func (w Workload) String() string { return w.Kind + "/" + w.Name }

// workloadKinds are the resources of workloads, by kind.
var workloadKinds = []struct {
	kind     string
	resource schema.GroupVersionResource
}{
	{"Deployment", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
	{"StatefulSet", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}},
	{"DaemonSet", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}},
}

// Workloads are those that a check names. One that is named and not there has no object.
func (l Look) Workloads(ctx context.Context, asked *releasev1.KubernetesWorkloads) (all []Workload, err error) {
	for _, kind := range workloadKinds {
		for _, named := range asked.GetNamed() {
			if criterion.WorkloadKind(named.GetKind()) != kind.kind {
				continue
			}
			found, err := l.client.Resource(kind.resource).Namespace(l.Namespace).Get(ctx, named.GetName(), metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				all = append(all, Workload{Kind: kind.kind, Name: named.GetName()})
				continue
			}
			if err != nil {
				return nil, err
			}
			w, err := workload(kind.kind, found)
			if err != nil {
				return nil, err
			}
			all = append(all, w)
		}
		if len(asked.GetLabels()) == 0 {
			continue
		}
		found, err := l.list(ctx, kind.resource, l.Namespace, metav1.ListOptions{LabelSelector: labels.Set(asked.GetLabels()).String()})
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			w, err := workload(kind.kind, one)
			if err != nil {
				return nil, err
			}
			all = append(all, w)
		}
	}
	return all, nil
}

func workload(kind string, found *unstructured.Unstructured) (Workload, error) {
	w := Workload{Kind: kind, Name: found.GetName(), Object: found}
	content, _, _ := unstructured.NestedMap(found.Object, "spec", "selector")
	var selector metav1.LabelSelector
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &selector); err != nil {
		return w, fmt.Errorf("%s: spec.selector: %w", w, err)
	}
	var err error
	if w.Selector, err = metav1.LabelSelectorAsSelector(&selector); err != nil {
		return w, fmt.Errorf("%s: spec.selector: %w", w, err)
	}
	return w, nil
}

// Pods are those that the workloads select, whoever made them: what bears their labels is taken
// for one of them by Services as well. Of pods that have ended, or that are ending in the time
// that they were given for it, there is only the number; of those that were given more than an hour
// each is there, for they may run for as long as whoever made them likes.
func (l Look) Pods(ctx context.Context, of []Workload, now time.Time) (all []corev1.Pod, ending int, err error) {
	var selectors []labels.Selector
	for _, w := range of {
		if w.Object == nil {
			return nil, 0, fmt.Errorf("%s %w", w, ErrMissing)
		}
		selectors = append(selectors, w.Selector)
	}
	return l.pods(ctx, selectors, now)
}

// AllPods are those of the namespace, whoever made them, as Pods has them.
func (l Look) AllPods(ctx context.Context, now time.Time) (all []corev1.Pod, ending int, err error) {
	return l.pods(ctx, []labels.Selector{nil}, now)
}

func (l Look) pods(ctx context.Context, by []labels.Selector, now time.Time) (all []corev1.Pod, ending int, err error) {
	seen := map[string]bool{}
	for _, selector := range by {
		pods, err := List[corev1.Pod](ctx, l, corev1.SchemeGroupVersion.WithResource("pods"), l.Namespace, selector)
		if err != nil {
			return nil, 0, err
		}
		for _, pod := range pods {
			switch {
			case seen[string(pod.UID)]:
				continue
			case pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed, isEnding(pod, now):
				ending++
			default:
				all = append(all, pod)
			}
			seen[string(pod.UID)] = true
		}
	}
	return all, ending, nil
}

// isEnding reports whether a pod is within the time that it was given to end, which is not long.
func isEnding(pod corev1.Pod, now time.Time) bool {
	if pod.DeletionTimestamp == nil || !now.Before(pod.DeletionTimestamp.Time) {
		return false
	}
	if given := pod.DeletionGracePeriodSeconds; given != nil {
		return *given <= int64(maxEnding/time.Second)
	}
	return pod.DeletionTimestamp.Sub(now) <= maxEnding
}

// List reads all objects of a resource, in a namespace or with "" in all of them. A nil selector
// selects every one.
func List[T any](ctx context.Context, l Look, resource schema.GroupVersionResource, namespace string, selector labels.Selector) ([]T, error) {
	options := metav1.ListOptions{}
	if selector != nil {
		options.LabelSelector = selector.String()
	}
	return ListBy[T](ctx, l, resource, namespace, options)
}

// ListBy is List with whatever the server selects by.
func ListBy[T any](ctx context.Context, l Look, resource schema.GroupVersionResource, namespace string, options metav1.ListOptions) ([]T, error) {
	found, err := l.list(ctx, resource, namespace, options)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(found))
	for i, one := range found {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(one.Object, &out[i]); err != nil {
			return nil, fmt.Errorf("%s %s: %w", resource.Resource, one.GetName(), err)
		}
	}
	return out, nil
}

// Get reads one object; the error is ErrMissing where it is not there.
func Get[T any](ctx context.Context, l Look, resource schema.GroupVersionResource, namespace, name string) (out T, err error) {
	found, err := l.client.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return out, fmt.Errorf("%s %s %w", resource.Resource, name, ErrMissing)
	case err != nil:
		return out, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, &out); err != nil {
		return out, fmt.Errorf("%s %s: %w", resource.Resource, name, err)
	}
	return out, nil
}

func (l Look) list(ctx context.Context, resource schema.GroupVersionResource, namespace string, options metav1.ListOptions) (all []*unstructured.Unstructured, err error) {
	options.Limit = pageSize
	for {
		page, err := l.client.Resource(resource).Namespace(namespace).List(ctx, options)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			all = append(all, &page.Items[i])
		}
		options.Continue = page.GetContinue()
		switch {
		case options.Continue == "":
			return all, nil
		case len(all) >= maxObjects:
			return nil, fmt.Errorf("%s: %w", resource.Resource, ErrMany)
		}
	}
}

// Served are the resources of an API group that lie in namespaces, in the version that the server
// prefers; none where it does not have the group. A version of which the server does not know at the
// time what it has is an error.
func (l Look) Served(ctx context.Context, group string) (all []schema.GroupVersionResource, err error) {
	groups, _, unknown, err := l.kinds.GroupsAndMaybeResourcesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	for of, err := range unknown {
		// The group is without that version then, or without all of them.
		if of.Group == group {
			return nil, fmt.Errorf("%s: %w", of, err)
		}
	}
	for _, g := range groups.Groups {
		if g.Name != group {
			continue
		}
		// A kind may be in some versions alone; each is taken in one of them.
		taken := map[string]bool{}
		for _, v := range g.Versions {
			list, err := l.kinds.ServerResourcesForGroupVersionWithContext(ctx, v.GroupVersion)
			if err != nil {
				return nil, err
			}
			of, err := schema.ParseGroupVersion(v.GroupVersion)
			if err != nil {
				return nil, err
			}
			for _, r := range list.APIResources {
				if r.Namespaced && !taken[r.Name] {
					taken[r.Name] = true
					all = append(all, of.WithResource(r.Name))
				}
			}
		}
	}
	return all, ctx.Err()
}
