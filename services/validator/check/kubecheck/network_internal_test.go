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
	} {
		if got := open(test.peers, test.ports); got != test.want {
			t.Errorf("%s: open is %v", test.name, got)
		}
	}
}
