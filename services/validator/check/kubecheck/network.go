package kubecheck

import (
	"context"
	"errors"
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
			if err = errors.Join(err, ctx.Err()); err != nil {
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

// covers says what policies of a direction make of a pod. What they let through adds up: two halves of
// all addresses are all of them, and two of all ports as well, be they in one rule or in two policies.
func covers(policies []networkingv1.NetworkPolicy, pod corev1.Pod, kind networkingv1.PolicyType, rules func(networkingv1.NetworkPolicy) []rule) (string, error) {
	if pod.Spec.HostNetwork {
		return "is that of the node, which no policy is about", nil
	}
	var names []string
	all := map[corev1.Protocol][]passage{}
	for _, p := range policies {
		selector, err := metav1.LabelSelectorAsSelector(&p.Spec.PodSelector)
		if err != nil {
			return "", fmt.Errorf("NetworkPolicy/%s: %w", p.Name, err)
		}
		if !slices.Contains(p.Spec.PolicyTypes, kind) || !selector.Matches(labels.Set(pod.Labels)) {
			continue
		}
		names = append(names, p.Name)
		own := map[corev1.Protocol][]passage{}
		for _, r := range rules(p) {
			through, err := r.through()
			if err != nil {
				return "", fmt.Errorf("NetworkPolicy/%s: %w", p.Name, err)
			}
			for protocol, ports := range r.spans() {
				for _, ports := range ports {
					own[protocol] = append(own[protocol], passage{p.Name, ports, through})
				}
			}
		}
		for _, protocol := range protocols {
			if how, err := open(own[protocol]); err != nil || how != "" {
				return how + p.Name, err
			}
			all[protocol] = append(all[protocol], own[protocol]...)
		}
	}
	if len(names) == 0 {
		return "has no policy", nil
	}
	for _, protocol := range protocols {
		how, err := open(all[protocol])
		if err != nil {
			return "", err
		}
		if how != "" {
			var of []string
			for _, one := range all[protocol] {
				if len(one.addresses) > 0 || one.strangers {
					of = append(of, one.policy)
				}
			}
			slices.Sort(of)
			return how + strings.Join(slices.Compact(of), " and ") + " together", nil
		}
	}
	slices.Sort(names)
	return check.CoveredBy + strings.Join(names, ", "), nil
}

// protocols are those that a policy can tell apart.
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

const (
	lastPort = 65535
	// maxSums bounds how much is added up for one pod, and maxSpans how many addresses with it: with
	// more rules than that, or more in them, nobody says what they let through.
	maxSums, maxSpans = 2_000_000, 20_000_000
)

// passage is what a rule of a policy lets through on ports of one protocol, from the first to the last.
type passage struct {
	policy string
	ports  [2]int32
	peers
}

// peers are those that a rule is about: addresses, and strangers, which are pods of any namespace.
type peers struct {
	addresses []span
	strangers bool
}

// open says how passages of one protocol are open, with whom by is still to be said; "" where they are
// not: on some port some addresses, and some pods, are not let through.
func open(all []passage) (string, error) {
	starts := []int32{1}
	for _, p := range all {
		starts = append(starts, p.ports[0], p.ports[1]+1)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	spans := 0
	for _, p := range all {
		spans += len(p.addresses)
	}
	if len(starts)*len(all) > maxSums || len(starts)*spans > maxSpans {
		return "", fmt.Errorf("rules of policies of the network: %w", kube.ErrMany)
	}
	addresses := true
	for _, at := range starts { // Between two of them all ports are alike.
		if at < 1 || at > lastPort {
			continue
		}
		var on []span
		strangers := false
		for _, p := range all {
			if p.ports[0] <= at && at <= p.ports[1] {
				on, strangers = append(on, p.addresses...), strangers || p.strangers
			}
		}
		if !everyAddress(on) {
			if addresses = false; !strangers {
				return "", nil
			}
		}
	}
	if addresses {
		return "is open by ", nil
	}
	return "is open to pods of any namespace by ", nil
}

// spans are the ports of each protocol that a rule is about. Which one has a name is another in each pod,
// and one alone.
func (r rule) spans() map[corev1.Protocol][][2]int32 {
	all := map[corev1.Protocol][][2]int32{}
	if len(r.ports) == 0 {
		for _, protocol := range protocols {
			all[protocol] = [][2]int32{{1, lastPort}}
		}
	}
	for _, p := range r.ports {
		protocol, ports := corev1.ProtocolTCP, [2]int32{1, lastPort}
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		switch {
		case p.Port == nil:
		case p.Port.Type != intstr.Int:
			continue
		case p.EndPort != nil:
			ports = [2]int32{p.Port.IntVal, min(*p.EndPort, lastPort)}
		default:
			ports = [2]int32{p.Port.IntVal, min(p.Port.IntVal, lastPort)}
		}
		all[protocol] = append(all[protocol], ports)
	}
	return all
}

// stranger is a namespace that nobody has thought of, with what the server gives every one.
var stranger = labels.Set{corev1.LabelMetadataName: "a-namespace-that-nobody-has-thought-of"}

// through are the peers that a rule lets through.
func (r rule) through() (all peers, err error) {
	if len(r.peers) == 0 {
		return peers{addresses: []span{{netip.IPv4Unspecified(), last(netip.PrefixFrom(netip.IPv4Unspecified(), 0))}}, strangers: true}, nil
	}
	for _, p := range r.peers {
		if p.IPBlock == nil {
			anyone, err := anyone(p)
			if err != nil {
				return all, err
			}
			all.strangers = all.strangers || anyone
			continue
		}
		whole, err := spanOf(p.IPBlock.CIDR)
		if err != nil {
			return all, err
		}
		left := []span{whole}
		for _, except := range p.IPBlock.Except {
			gone, err := spanOf(except)
			if err != nil {
				return all, err
			}
			left = without(left, gone)
		}
		all.addresses = append(all.addresses, left...)
	}
	return all, nil
}

// anyone reports whether a peer is every pod of a namespace that nobody has thought of: it is then every
// pod of the cluster, but for those that it names.
func anyone(p networkingv1.NetworkPolicyPeer) (bool, error) {
	if p.NamespaceSelector == nil {
		return false, nil // Those of its own namespace alone.
	}
	namespaces, err := metav1.LabelSelectorAsSelector(p.NamespaceSelector)
	if err != nil || !namespaces.Matches(stranger) || p.PodSelector == nil {
		return err == nil && namespaces.Matches(stranger), err
	}
	pods, err := metav1.LabelSelectorAsSelector(p.PodSelector)
	return err == nil && pods.Matches(labels.Set{}), err
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
