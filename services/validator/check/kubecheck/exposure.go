package kubecheck

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/kube"
)

// gateway is the group of the Gateway API, whose kinds a server has or has not.
const gateway = "gateway.networking.k8s.io"

// everyHost is what an Ingress or a route is for that names no host.
const everyHost = "*"

// exposure says what in the namespace can be reached from outside of the cluster, whoever made it.
func (l look) exposure(ctx context.Context) error {
	if _, err := l.namespace(ctx); err != nil {
		return err
	}
	l.found.Objects = 1
	services, err := kube.List[corev1.Service](ctx, l.Look, corev1.SchemeGroupVersion.WithResource("services"), l.Namespace, nil)
	if err != nil {
		return err
	}
	for _, s := range services {
		if s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer {
			l.say("Service/"+s.Name, "type", string(s.Spec.Type))
		}
		for _, address := range s.Spec.ExternalIPs {
			l.say("Service/"+s.Name, "external address", address)
		}
	}
	ingresses, err := kube.List[networkingv1.Ingress](ctx, l.Look, networkingv1.SchemeGroupVersion.WithResource("ingresses"), l.Namespace, nil)
	if err != nil {
		return err
	}
	for _, i := range ingresses {
		var hosts []string
		for _, r := range i.Spec.Rules {
			hosts = append(hosts, r.Host)
		}
		if i.Spec.DefaultBackend != nil {
			hosts = append(hosts, everyHost)
		}
		l.hosts("Ingress/"+i.Name, hosts)
	}
	return l.routes(ctx)
}

// routes says which routes of the Gateway API there are, of whichever kinds the server has.
func (l look) routes(ctx context.Context) error {
	resources, err := l.Served(ctx, gateway)
	if err != nil {
		return err
	}
	for _, r := range resources {
		if !strings.HasSuffix(r.Resource, "routes") || strings.Contains(r.Resource, "/") {
			continue
		}
		if err := l.routesOf(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// route is what is read of one.
type route struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Hostnames []string `json:"hostnames"`
	} `json:"spec"`
}

func (l look) routesOf(ctx context.Context, resource schema.GroupVersionResource) error {
	all, err := kube.List[route](ctx, l.Look, resource, l.Namespace, nil)
	if err != nil {
		return err
	}
	for _, r := range all {
		l.hosts(r.Kind+"/"+r.Name, r.Spec.Hostnames)
	}
	return nil
}

func (l look) hosts(object string, hosts []string) {
	if len(hosts) == 0 {
		hosts = []string{everyHost}
	}
	for i, host := range hosts {
		if host == "" {
			hosts[i] = everyHost
		}
	}
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		l.say(object, check.FactHost, host)
	}
}
