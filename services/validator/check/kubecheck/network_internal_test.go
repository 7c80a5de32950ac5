package kubecheck

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/blackdice/shipwarden/services/validator/kube"
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
		{"two halves of all ports", nil, append(span(1, 32767), span(32768, 65535)...), true},
		{"ports that overlap", nil, append(append(span(30000, 65535), span(1, 29999)...), span(20, 40000)...), true},
		{"every port but one", nil, append(span(1, 442), span(444, 65535)...), false},
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
	// Of many rules for many addresses each nobody says what they are together.
	var wide networkingv1.NetworkPolicy
	for i := range int32(120) {
		var from []networkingv1.NetworkPolicyPeer
		for j := range 1000 {
			from = append(from, block(fmt.Sprintf("10.%d.%d.0/25", j/256, j%256))...)
		}
		from = append(from, networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}})
		wide.Spec.Ingress = append(wide.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: from, Ports: span(1+i, 65535-i)})
	}
	wide.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if got, err := covers([]networkingv1.NetworkPolicy{wide}, corev1.Pod{}, networkingv1.PolicyTypeIngress, incoming); !errors.Is(err, kube.ErrMany) {
		t.Errorf("many addresses for many ports: %q, %v", got, err)
	}
	// Halves of all ports, for halves of all addresses, are all of them together.
	var quarters []networkingv1.NetworkPolicy
	for i, of := range []struct {
		cidr     string
		from, to int32
	}{{"0.0.0.0/1", 1, 100}, {"0.0.0.0/1", 101, 65535}, {"128.0.0.0/1", 1, 30000}, {"128.0.0.0/1", 30001, 65535}} {
		quarters = append(quarters, networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: string(rune('a' + i))}, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: block(of.cidr), Ports: span(of.from, of.to)}},
		}})
	}
	for n, want := range map[int]string{4: "is open by a and b and c and d together", 3: "by a, b, c"} {
		if got, err := covers(quarters[:n], corev1.Pod{}, networkingv1.PolicyTypeIngress, incoming); got != want || err != nil {
			t.Errorf("%d quarters: %q, %v, want %q", n, got, err, want)
		}
	}
	many := quarters[0].DeepCopy()
	for i := range int32(2000) {
		many.Spec.Ingress = append(many.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{Ports: span(i+1, i+1)})
	}
	if got, err := covers([]networkingv1.NetworkPolicy{*many}, corev1.Pod{}, networkingv1.PolicyTypeIngress, incoming); !errors.Is(err, kube.ErrMany) {
		t.Errorf("more than is added up: %q, %v", got, err)
	}
	for _, cidr := range []string{"0.0.0.0", "0.0.0.0/x", "10.0.0.0/33", "shop/8", "10.0.0.0/-1", ""} {
		if s, err := spanOf(cidr); err == nil {
			t.Errorf("%q is %v", cidr, s)
		}
	}
}

// TestAPolicyForPodsOfAnyNamespaceIsOpen to whoever makes a namespace, or runs a pod in one: it keeps
// nobody out who is in the cluster. One that says a port, or which pods, is not.
func TestAPolicyForPodsOfAnyNamespaceIsOpen(t *testing.T) {
	const name = "kubernetes.io/metadata.name"
	where := func(key string, is metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: is, Values: values}}}
	}
	every, shop := &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}
	one, end, next := intstr.FromInt32(1), int32(40000), intstr.FromInt32(40001)
	last := int32(65535)
	for why, test := range map[string]struct {
		peers []networkingv1.NetworkPolicyPeer
		ports []networkingv1.NetworkPolicyPort
		want  bool
	}{
		"every namespace":                       {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: every}}, nil, true},
		"every pod of every namespace":          {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: every, PodSelector: every}}, nil, true},
		"every namespace that has a name":       {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: where(name, metav1.LabelSelectorOpExists)}}, nil, true},
		"every namespace but one":               {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: where(name, metav1.LabelSelectorOpNotIn, "kube-system")}}, nil, true},
		"every namespace that is not called so": {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: where("team", metav1.LabelSelectorOpDoesNotExist)}}, nil, true},
		"beside some others":                    {[]networkingv1.NetworkPolicyPeer{{PodSelector: shop}, {NamespaceSelector: every}}, nil, true},
		"on two halves of all ports": {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: every}}, []networkingv1.NetworkPolicyPort{
			{Port: &one, EndPort: &end}, {Port: &next, EndPort: &last},
		}, true},
		"on one port":                   {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: every}}, []networkingv1.NetworkPolicyPort{{Port: &one}}, false},
		"some pods of every namespace":  {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: every, PodSelector: shop}}, nil, false},
		"every pod of this namespace":   {[]networkingv1.NetworkPolicyPeer{{PodSelector: every}}, nil, false},
		"a namespace of that name":      {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: where(name, metav1.LabelSelectorOpIn, "monitoring")}}, nil, false},
		"namespaces that have a label":  {[]networkingv1.NetworkPolicyPeer{{NamespaceSelector: where("team", metav1.LabelSelectorOpExists)}}, nil, false},
		"namespaces and some addresses": {[]networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}}, {NamespaceSelector: shop}}, nil, false},
	} {
		p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: test.peers, Ports: test.ports}},
		}}
		got, err := covers([]networkingv1.NetworkPolicy{p}, corev1.Pod{}, networkingv1.PolicyTypeIngress, incoming)
		if want := map[bool]string{true: "is open to pods of any namespace by one", false: "by one"}[test.want]; got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", why, got, err, want)
		}
	}
}
