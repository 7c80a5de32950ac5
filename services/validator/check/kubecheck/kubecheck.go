// Package kubecheck looks at the objects of a target that is a namespace of a cluster: whether
// workloads are rolled out, and whether controls of security hold in what runs.
//
// It gathers facts. Whether they speak for the target or against it is judged in package check, so
// that it can be judged again from what was kept. What could not be looked at, be it that a right
// is missing or that the server does not answer, is said beside the facts: without all of them
// nothing passes.
//
// Everything is read from the API server as the validator, which may read alone; what the executor
// placed, or says that it placed, is not asked for.
package kubecheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/kube"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Prober takes the samples of checks in Kubernetes (PD-6.1). It is safe for concurrent use.
type Prober struct {
	// Clusters are those that may be looked at, by the names that targets have for them.
	Clusters map[string]*kube.Cluster
	// Now is the clock. Nil means the machine's.
	Now func() time.Time
}

var (
	_ check.Prober = Prober{}
	_ check.Placed = Prober{}
)

// Place says where the API server of a cluster is, "" where there is none of that name.
func (p Prober) Place(cluster string) string {
	if c := p.Clusters[cluster]; c != nil {
		return c.Server()
	}
	return ""
}

// look is one look under way.
type look struct {
	kube.Look

	now   time.Time
	check *releasev1.Check
	// found is what was found so far.
	found *check.Inspected
}

// Probe looks once.
func (p Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	if p.Now == nil {
		p.Now = time.Now
	}
	name, namespace := t.Kubernetes()
	if name == "" {
		return check.Observation{Outcome: check.Error, Detail: fmt.Sprintf("%q has no kubernetes", t.ID())}
	}
	cluster := p.Clusters[name]
	if cluster == nil {
		return check.Observation{Outcome: check.Error, Detail: fmt.Sprintf("no cluster %q is configured", name)}
	}
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	l := look{now: p.Now(), check: c, found: &check.Inspected{Asked: p.Now()}}
	var err error
	if l.Look, err = cluster.Look(namespace); err == nil {
		err = l.all(ctx)
	}
	if err != nil {
		l.found.Unknown = err.Error()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.found.Unknown = "no answer within " + criterion.Timeout(c).String()
		}
	}
	return check.Observation{Inspected: l.found}
}

// all gathers what the check is about. What was found before an error stays.
func (l look) all(ctx context.Context) error {
	if l.check.GetKubernetesRollout() != nil {
		return l.rollout(ctx)
	}
	controls := criterion.Controls(l.check)
	if len(controls) != 1 {
		return errors.New("it is not one control")
	}
	switch controls[0] {
	case "exposure":
		return l.exposure(ctx)
	case "pod_security":
		// Of the namespace whatever becomes of the pods.
		if err := l.enforced(ctx); err != nil {
			return err
		}
	}
	pods, ending, err := l.pods(ctx)
	if err != nil {
		return err
	}
	l.found.LeftOut = ending
	if controls[0] == "image_digests" {
		l.images(pods)
		return nil
	}
	l.found.Objects = len(pods)
	switch controls[0] {
	case "pod_security":
		return l.podSecurity(pods)
	case "network_policy":
		return l.network(ctx, pods)
	case "service_account":
		return l.accounts(ctx, pods)
	case "plain_secrets":
		return l.secrets(ctx, pods)
	}
	return fmt.Errorf("no control %s is known here", controls[0])
}

// pods are those of the workloads that the check names, or where it names none all of the namespace.
func (l look) pods(ctx context.Context) ([]corev1.Pod, int, error) {
	asked := criterion.Workloads(l.check)
	if asked == nil {
		return l.AllPods(ctx, l.now)
	}
	workloads, err := l.Workloads(ctx, asked)
	if err != nil {
		return nil, 0, err
	}
	return l.Pods(ctx, workloads, l.now)
}

func (l look) say(object, name, value string) {
	l.found.Facts = append(l.found.Facts, check.Fact{Object: object, Name: name, Value: value})
}

// tally gathers facts of which the pods of a workload have the same, so that each is kept once.
type tally struct {
	order []check.Fact
	count map[check.Fact]int
	first map[check.Fact]string
}

func (t *tally) add(pod corev1.Pod, name, value string) {
	if t.count == nil {
		t.count, t.first = map[check.Fact]int{}, map[check.Fact]string{}
	}
	key := check.Fact{Name: name, Value: value}
	if t.count[key]++; t.count[key] == 1 {
		t.order, t.first[key] = append(t.order, key), pod.Name
	}
}

// say says all of them, in an order that does not depend on that of the pods.
func (t *tally) say(l look) {
	slices.SortFunc(t.order, func(a, b check.Fact) int {
		if by := strings.Compare(a.Name, b.Name); by != 0 {
			return by
		}
		return strings.Compare(a.Value, b.Value)
	})
	for _, f := range t.order {
		object := "Pod/" + t.first[f]
		if more := t.count[f] - 1; more > 0 {
			object += fmt.Sprintf(" and %d more", more)
		}
		l.say(object, f.Name, f.Value)
	}
}

// containers are all that a pod runs, or ran before those, with their kind.
func containers(pod corev1.Pod) (all []container) {
	for _, c := range pod.Spec.InitContainers {
		all = append(all, container{"init container", c.Name, c.Env, c.EnvFrom, slices.Concat(c.Command, c.Args), find(pod.Status.InitContainerStatuses, c.Name)})
	}
	for _, c := range pod.Spec.Containers {
		all = append(all, container{"container", c.Name, c.Env, c.EnvFrom, slices.Concat(c.Command, c.Args), find(pod.Status.ContainerStatuses, c.Name)})
	}
	for _, c := range pod.Spec.EphemeralContainers {
		all = append(all, container{
			"ephemeral container", c.Name, c.Env, c.EnvFrom, slices.Concat(c.Command, c.Args), find(pod.Status.EphemeralContainerStatuses, c.Name),
		})
	}
	return all
}

// container is one of a pod, of whichever kind.
type container struct {
	kind, name string
	env        []corev1.EnvVar
	from       []corev1.EnvFromSource
	args       []string
	// status is what the node says of it; nil where it says nothing.
	status *corev1.ContainerStatus
}

func (c container) String() string { return c.kind + " " + c.name }

func find(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
