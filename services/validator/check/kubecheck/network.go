package kubecheck

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/kube"
)

// network says of each pod and direction which policies select it, and whether one of them lets
// everything through: what policies allow adds up, so that one such is enough.
func (l look) network(ctx context.Context, pods []corev1.Pod) error {
	policies, err := kube.List[networkingv1.NetworkPolicy](ctx, l.Look, networkingv1.SchemeGroupVersion.WithResource("networkpolicies"), l.Namespace, nil)
	if err != nil {
		return err
	}
	asked := l.check.GetKubernetesSecurity().GetNetworkPolicy()
	var t tally
	for _, pod := range pods {
		for _, d := range []struct {
			name  string
			asked bool
			kind  networkingv1.PolicyType
			open  func(networkingv1.NetworkPolicy) bool
		}{
			{"ingress", asked.GetIngress(), networkingv1.PolicyTypeIngress, func(p networkingv1.NetworkPolicy) bool {
				return slices.ContainsFunc(p.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool { return open(r.From, r.Ports) })
			}},
			{"egress", asked.GetEgress(), networkingv1.PolicyTypeEgress, func(p networkingv1.NetworkPolicy) bool {
				return slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { return open(r.To, r.Ports) })
			}},
		} {
			if !d.asked {
				continue
			}
			value, err := covers(policies, pod, d.kind, d.open)
			if err != nil {
				return err
			}
			t.add(pod, d.name, value)
		}
	}
	t.say(l)
	return nil
}

// covers says what policies of a direction make of a pod.
func covers(policies []networkingv1.NetworkPolicy, pod corev1.Pod, kind networkingv1.PolicyType, open func(networkingv1.NetworkPolicy) bool) (string, error) {
	if pod.Spec.HostNetwork {
		return "is that of the node, which no policy is about", nil
	}
	var names []string
	for _, p := range policies {
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil {
			return "", fmt.Errorf("NetworkPolicy/%s: %w", p.Name, err)
		}
		if !slices.Contains(p.Spec.PolicyTypes, kind) || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		if open(p) {
			return "is open by " + p.Name, nil
		}
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return "has no policy", nil
	}
	slices.Sort(names)
	return check.CoveredBy + strings.Join(names, ", "), nil
}

// open reports whether a rule lets everything through, be it of one protocol alone.
func open(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) bool {
	if len(ports) > 0 && !slices.ContainsFunc(ports, everyPort) {
		return false
	}
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p networkingv1.NetworkPolicyPeer) bool {
		return p.IPBlock != nil && everyAddress(p.IPBlock.CIDR) && len(p.IPBlock.Except) == 0
	})
}

// everyPort reports whether all ports of a protocol are meant: none is named, or the first to the last.
func everyPort(p networkingv1.NetworkPolicyPort) bool {
	return p.Port == nil || p.Port.Type == intstr.Int && p.Port.IntVal <= 1 && p.EndPort != nil && *p.EndPort >= 65535
}

// everyAddress reports whether a block has all addresses. Servers take a length with zeros before it.
func everyAddress(cidr string) bool {
	_, length, _ := strings.Cut(cidr, "/")
	n, err := strconv.Atoi(length)
	return err == nil && n == 0
}
