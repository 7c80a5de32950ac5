package kubecheck

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/kube"
)

// rollout gathers what becomes of workloads, by kstatus, how often containers of their pods were
// started again, and the warnings about them.
func (l look) rollout(ctx context.Context) error {
	workloads, err := l.Workloads(ctx, criterion.Workloads(l.check))
	if err != nil {
		return err
	}
	there := slices.Clone(workloads)
	for _, w := range workloads {
		if w.Object == nil {
			l.say(w.String(), check.FactStatus, "NotFound")
			there = slices.DeleteFunc(there, func(o kube.Workload) bool { return o.String() == w.String() })
			continue
		}
		l.found.Objects++
		if err := l.status(w); err != nil {
			return err
		}
	}
	pods, ending, err := l.Pods(ctx, there, l.now)
	if err != nil {
		return err
	}
	l.found.LeftOut = ending
	var restarts tally
	for _, pod := range pods {
		for _, c := range containers(pod) {
			if c.status != nil && c.status.RestartCount > 0 {
				restarts.add(pod, check.FactRestarts+c.String(), strconv.Itoa(int(c.status.RestartCount)))
			}
		}
	}
	restarts.say(l)
	if len(l.check.GetKubernetesRollout().GetNoEvents()) == 0 {
		return nil
	}
	return l.events(ctx, there)
}

// status says what kstatus makes of a workload, and which generation of it the controller has seen.
func (l look) status(w kube.Workload) error {
	result, err := status.Compute(rolling(w.Object))
	if err != nil {
		return fmt.Errorf("%s: %w", w, err)
	}
	value := string(result.Status)
	if result.Status != status.CurrentStatus {
		value += ": " + result.Message
	}
	l.say(w.String(), check.FactStatus, value)
	observed, _, _ := unstructured.NestedInt64(w.Object.Object, "status", "observedGeneration")
	l.say(w.String(), check.FactGeneration, fmt.Sprintf("%d of %d", observed, w.Object.GetGeneration()))
	return nil
}

// rolling is a workload as one that its controller rolls out by itself. Of a StatefulSet whose pods
// people replace kstatus says that all is as it should be, whatever runs: it is so when as many run of
// the newest revision as there are to be.
func rolling(o *unstructured.Unstructured) *unstructured.Unstructured {
	strategy, _, _ := unstructured.NestedString(o.Object, "spec", "updateStrategy", "type")
	if o.GetKind() != "StatefulSet" || strategy != string(appsv1.OnDeleteStatefulSetStrategyType) {
		return o
	}
	o = o.DeepCopy()
	all := map[string]any{"type": string(appsv1.RollingUpdateStatefulSetStrategyType), "rollingUpdate": map[string]any{"partition": int64(0)}}
	if err := unstructured.SetNestedMap(o.Object, all, "spec", "updateStrategy"); err != nil {
		panic(err) // it was read from there
	}
	return o
}

// events says of each reason that the check names when the last warning was given about a workload,
// what it made, or a pod of it, be it gone by now.
func (l look) events(ctx context.Context, workloads []kube.Workload) error {
	about, err := l.about(ctx, workloads)
	if err != nil {
		return err
	}
	all, err := kube.ListBy[corev1.Event](ctx, l.Look, corev1.SchemeGroupVersion.WithResource("events"), l.Namespace, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", corev1.EventTypeWarning).String(),
	})
	if err != nil {
		return err
	}
	type newest struct {
		object string
		at     time.Time
	}
	last := map[string]newest{}
	for _, e := range all {
		object := e.InvolvedObject.Kind + "/" + e.InvolvedObject.Name
		if !slices.Contains(l.check.GetKubernetesRollout().GetNoEvents(), e.Reason) || !about.MatchString(object) {
			continue
		}
		if at := when(e); !at.Before(last[e.Reason].at) {
			last[e.Reason] = newest{object, at}
		}
	}
	for _, reason := range l.check.GetKubernetesRollout().GetNoEvents() {
		if e, ok := last[reason]; ok {
			l.say(e.object, check.FactEvent+reason, e.at.UTC().Format(time.RFC3339Nano))
		}
	}
	return nil
}

// when is the last time at which what an event tells of happened.
func when(e corev1.Event) time.Time {
	at := e.CreationTimestamp.Time
	for _, other := range []time.Time{e.FirstTimestamp.Time, e.LastTimestamp.Time, e.EventTime.Time} {
		if other.After(at) {
			at = other
		}
	}
	if e.Series != nil && e.Series.LastObservedTime.After(at) {
		at = e.Series.LastObservedTime.Time
	}
	return at
}

// about matches the objects that events may be about: the workloads, the ReplicaSets that they have,
// and pods by the names that controllers give them.
func (l look) about(ctx context.Context, workloads []kube.Workload) (*regexp.Regexp, error) {
	text := "^(?:"
	for _, w := range workloads {
		name := regexp.QuoteMeta(w.Name)
		text += w.Kind + "/" + name + "|"
		switch w.Kind {
		case "StatefulSet":
			text += "Pod/" + name + "-[0-9]+|"
		case "DaemonSet":
			text += "Pod/" + name + "-[a-z0-9]{5}|"
		default:
			sets, err := kube.List[appsv1.ReplicaSet](ctx, l.Look, appsv1.SchemeGroupVersion.WithResource("replicasets"), l.Namespace, w.Selector)
			if err != nil {
				return nil, err
			}
			for _, set := range sets {
				base := set.Name + "-"
				// Of a long name the server keeps so much.
				base = base[:min(len(base), 58)]
				text += "ReplicaSet/" + regexp.QuoteMeta(set.Name) + "|Pod/" + regexp.QuoteMeta(base) + "[a-z0-9]{5}|"
			}
		}
	}
	return regexp.Compile(text[:len(text)-1] + ")$")
}
