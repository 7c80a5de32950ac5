package kubecheck

import (
	"context"
	"fmt"
	"net/netip"
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
			rules func(networkingv1.NetworkPolicy) []rule
		}{
			{"ingress", asked.GetIngress(), networkingv1.PolicyTypeIngress, incoming},
			{"egress", asked.GetEgress(), networkingv1.PolicyTypeEgress, outgoing},
		} {
			if !d.asked {
				continue
			}
			value, err := covers(policies, pod, d.kind, d.rules)
			if err != nil {
				return err
			}
			t.add(pod, d.name, value)
		}
	}
	t.say(l)
	return nil
}

// rule is one of a policy, of either direction.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func incoming(p networkingv1.NetworkPolicy) (all []rule) {
	for _, r := range p.Spec.Ingress {
		all = append(all, rule{r.From, r.Ports})
	}
	return all
}

func outgoing(p networkingv1.NetworkPolicy) (all []rule) {
	for _, r := range p.Spec.Egress {
		all = append(all, rule{r.To, r.Ports})
	}
	return all
}

// covers says what policies of a direction make of a pod. What they let through adds up, so that two
// halves of all addresses are all of them, be they in one rule or in two policies.
func covers(policies []networkingv1.NetworkPolicy, pod corev1.Pod, kind networkingv1.PolicyType, rules func(networkingv1.NetworkPolicy) []rule) (string, error) {
	if pod.Spec.HostNetwork {
		return "is that of the node, which no policy is about", nil
	}
	var names []string
	open, through := map[corev1.Protocol][]string{}, map[corev1.Protocol][]span{}
	for _, p := range policies {
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil {
			return "", fmt.Errorf("NetworkPolicy/%s: %w", p.Name, err)
		}
		if !slices.Contains(p.Spec.PolicyTypes, kind) || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		names = append(names, p.Name)
		own := map[corev1.Protocol][]span{}
		for _, r := range rules(p) {
			all, err := r.addresses()
			if err != nil {
				return "", fmt.Errorf("NetworkPolicy/%s: %w", p.Name, err)
			}
			for _, protocol := range r.protocols() {
				own[protocol] = append(own[protocol], all...)
			}
		}
		for protocol, all := range own {
			if everyAddress(all) {
				return "is open by " + p.Name, nil
			}
			if len(all) > 0 {
				open[protocol], through[protocol] = append(open[protocol], p.Name), append(through[protocol], all...)
			}
		}
	}
	if len(names) == 0 {
		return "has no policy", nil
	}
	for _, protocol := range protocols {
		if everyAddress(through[protocol]) {
			slices.Sort(open[protocol])
			return "is open by " + strings.Join(open[protocol], " and ") + " together", nil
		}
	}
	slices.Sort(names)
	return check.CoveredBy + strings.Join(names, ", "), nil
}

// protocols are those that a policy can tell apart.
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// protocols are those of which a rule leaves all ports.
func (r rule) protocols() (all []corev1.Protocol) {
	if len(r.ports) == 0 {
		return protocols
	}
	for _, p := range r.ports {
		if everyPort(p) {
			protocol := corev1.ProtocolTCP
			if p.Protocol != nil {
				protocol = *p.Protocol
			}
			all = append(all, protocol)
		}
	}
	return all
}

// addresses are those that a rule lets through.
func (r rule) addresses() (all []span, err error) {
	if len(r.peers) == 0 {
		return []span{{netip.IPv4Unspecified(), last(netip.PrefixFrom(netip.IPv4Unspecified(), 0))}}, nil
	}
	for _, p := range r.peers {
		if p.IPBlock == nil {
			continue
		}
		whole, err := spanOf(p.IPBlock.CIDR)
		if err != nil {
			return nil, err
		}
		left := []span{whole}
		for _, except := range p.IPBlock.Except {
			gone, err := spanOf(except)
			if err != nil {
				return nil, err
			}
			left = without(left, gone)
		}
		all = append(all, left...)
	}
	return all, nil
}

// everyPort reports whether all ports of a protocol are meant: none is named, or the first to the last.
func everyPort(p networkingv1.NetworkPolicyPort) bool {
	return p.Port == nil || p.Port.Type == intstr.Int && p.Port.IntVal <= 1 && p.EndPort != nil && *p.EndPort >= 65535
}

// span is addresses of one family, from the first to the last.
type span struct{ from, to netip.Addr }

// spanOf reads a block. Servers take a length with zeros before it.
func spanOf(cidr string) (span, error) {
	address, length, _ := strings.Cut(cidr, "/")
	n, err := strconv.Atoi(length)
	if err != nil {
		return span{}, fmt.Errorf("%.64q is no block of addresses", cidr)
	}
	a, err := netip.ParseAddr(address)
	if err != nil || n < 0 || n > a.BitLen() {
		return span{}, fmt.Errorf("%.64q is no block of addresses", cidr)
	}
	p := netip.PrefixFrom(a, n).Masked()
	return span{p.Addr(), last(p)}, nil
}

// last is the last address of a block.
func last(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for i := range bytes {
		switch kept := p.Bits() - 8*i; {
		case kept <= 0:
			bytes[i] = 0xff
		case kept < 8:
			bytes[i] |= 0xff >> kept
		}
	}
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

// without takes addresses out of others.
func without(all []span, gone span) (left []span) {
	for _, s := range all {
		if s.from.BitLen() != gone.from.BitLen() || s.to.Less(gone.from) || gone.to.Less(s.from) {
			left = append(left, s)
			continue
		}
		if s.from.Less(gone.from) {
			left = append(left, span{s.from, gone.from.Prev()})
		}
		if gone.to.Less(s.to) {
			left = append(left, span{gone.to.Next(), s.to})
		}
	}
	return left
}

// everyAddress reports whether these are all addresses of a family.
func everyAddress(all []span) bool {
	all = slices.SortedFunc(slices.Values(all), func(a, b span) int { return a.from.Compare(b.from) })
	for _, next := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		for _, s := range all {
			if s.from.BitLen() != next.BitLen() || s.to.Less(next) {
				continue
			}
			if next.Less(s.from) {
				break
			}
			if next = s.to.Next(); !next.IsValid() {
				return true
			}
		}
	}
	return false
}
