package kubecheck

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestARuleThatLetsEverythingThroughIsOpen in whichever words it says so.
func TestARuleThatLetsEverythingThroughIsOpen(t *testing.T) {
	type peers = []networkingv1.NetworkPolicyPeer
	type ports = []networkingv1.NetworkPolicyPort
	tcp := corev1.ProtocolTCP
	block := func(cidr string, except ...string) peers {
		return peers{{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}}
	}
	span := func(from, to int32) ports {
		first := intstr.FromInt32(from)
		return ports{{Protocol: &tcp, Port: &first, EndPort: &to}}
	}
	named, one := intstr.FromString("http"), intstr.FromInt32(8080)
	some := peers{{PodSelector: &metav1.LabelSelector{}}}
	for _, test := range []struct {
		name  string
		peers peers
		ports ports
		want  bool
	}{
		{"nothing is said", nil, nil, true},
		{"every address", block("0.0.0.0/0"), nil, true},
		{"every address of IPv6", block("::/0"), nil, true},
		{"every address, written otherwise", block("0.0.0.0/00"), nil, true},
		{"every port of a protocol", nil, ports{{Protocol: &tcp}}, true},
		{"every port of a protocol beside one", block("0.0.0.0/0"), ports{{Port: &one}, {}}, true},
		{"every port by its number", nil, span(1, 65535), true},
		{"one port", nil, ports{{Port: &one}}, false},
		{"a port by its name", nil, ports{{Port: &named}}, false},
		{"many ports", nil, span(1024, 65535), false},
		{"some pods", some, ports{{Protocol: &tcp}}, false},
		{"some addresses", block("10.0.0.0/10"), nil, false},
		{"every address but some", block("0.0.0.0/0", "10.0.0.0/8"), nil, false},
		{"every address but some, and those", append(block("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16"), block("10.0.0.0/7")...), nil, true},
		{"every address but one", append(block("0.0.0.0/0", "10.0.0.0/8"), block("10.0.0.0/8", "10.255.255.255/32")...), nil, false},
		{"two halves", append(block("128.0.0.0/1"), block("0.0.0.0/1")...), nil, true},
		{"two halves of IPv6", append(block("::/1"), block("8000::/1")...), nil, true},
		{"a half of each family", append(block("::/1"), block("128.0.0.0/1")...), nil, false},
	} {
		of := func(name string, peers peers) networkingv1.NetworkPolicy {
			return networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.NetworkPolicySpec{
				PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
				Egress:      []networkingv1.NetworkPolicyEgressRule{{To: peers, Ports: test.ports}},
			}}
		}
		got, err := covers([]networkingv1.NetworkPolicy{of("one", test.peers)}, corev1.Pod{}, networkingv1.PolicyTypeEgress, outgoing)
		if want := map[bool]string{true: "is open by one", false: "by one"}[test.want]; got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", test.name, got, err, want)
		}
		if len(test.peers) < 2 {
			continue
		}
		apart := []networkingv1.NetworkPolicy{of("two", test.peers[1:]), of("one", test.peers[:1])}
		got, err = covers(apart, corev1.Pod{}, networkingv1.PolicyTypeEgress, outgoing)
		if want := map[bool]string{true: "is open by one and two together", false: "by one, two"}[test.want]; got != want || err != nil {
			t.Errorf("%s, apart: %s, %v, want %s", test.name, got, err, want)
		}
	}
	// One half by TCP and the other by UDP are not all addresses of either.
	udp := corev1.ProtocolUDP
	halves := networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress: []networkingv1.NetworkPolicyEgressRule{
			{To: block("0.0.0.0/1"), Ports: ports{{Protocol: &udp}}}, {To: block("128.0.0.0/1"), Ports: ports{{}, {Protocol: &udp, Port: &one}}},
		},
	}}
	for _, want := range []string{"by ", "is open by "} {
		if got, err := covers([]networkingv1.NetworkPolicy{halves}, corev1.Pod{}, networkingv1.PolicyTypeEgress, outgoing); got != want || err != nil {
			t.Errorf("by two protocols: %q, %v, want %q", got, err, want)
		}
		halves.Spec.Egress[1].Ports = nil
	}
	for _, cidr := range []string{"0.0.0.0", "0.0.0.0/x", "10.0.0.0/33", "shop/8", "10.0.0.0/-1", ""} {
		if s, err := spanOf(cidr); err == nil {
			t.Errorf("%q is %v", cidr, s)
		}
	}
}
