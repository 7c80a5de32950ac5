package kubecheck

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/kube"
)

// enforced says which of the Pod Security Standards the namespace enforces, by its label.
func (l look) enforced(ctx context.Context) error {
	namespace, err := l.namespace(ctx)
	if err != nil {
		return err
	}
	p, wrong := api.PolicyToEvaluate(namespace.Labels, api.Policy{Enforce: api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}})
	if len(wrong) > 0 {
		return fmt.Errorf("namespace %s: %w", l.Namespace, wrong.ToAggregate())
	}
	l.say("Namespace/"+l.Namespace, check.FactEnforced, string(p.Enforce.Level))
	return nil
}

// namespace reads the one that is looked at: lists of what lies in it are empty as well where there
// is none.
func (l look) namespace(ctx context.Context) (corev1.Namespace, error) {
	n, err := kube.Get[corev1.Namespace](ctx, l.Look, corev1.SchemeGroupVersion.WithResource("namespaces"), "", l.Namespace)
	if err == nil && n.Status.Phase == corev1.NamespaceTerminating {
		err = errors.New("namespace " + l.Namespace + " is being deleted")
	}
	return n, err
}

// podSecurity says which rules of the level pods do not keep to, in the words of the standards.
func (l look) podSecurity(pods []corev1.Pod) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level, err := api.ParseLevel(criterion.PodLevel(l.check.GetKubernetesSecurity().GetPodSecurity().GetLevel()))
	if err != nil {
		return err
	}
	var t tally
	for _, pod := range pods {
		for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				t.add(pod, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
	t.say(l)
	return nil
}
