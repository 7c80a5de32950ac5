package kubecheck

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/blackdice/shipwarden/services/validator/kube"
)

// accounts says what the service accounts of pods may do: by every role that is bound to one of
// them, or to a group that it belongs to, in any namespace.
func (l look) accounts(ctx context.Context, pods []corev1.Pod) error {
	var names []string
	for _, pod := range pods {
		name := pod.Spec.ServiceAccountName
		if name == "" {
			name = "default"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	bound, err := l.bindings(ctx)
	if err != nil {
		return err
	}
	roles := map[string][]rbacv1.PolicyRule{}
	for _, name := range slices.Compact(names) {
		rights := rightsOf{}
		for _, b := range bound {
			if !slices.ContainsFunc(b.subjects, func(s rbacv1.Subject) bool { return l.means(s, b.namespace, name) }) {
				continue
			}
			rules, err := l.rules(ctx, roles, b)
			if err != nil {
				return err
			}
			rights.add(rules, b.namespace, l.Namespace)
		}
		rights.say(l, "ServiceAccount/"+name)
	}
	return nil
}

// binding is one of either kind; the namespace of one for the whole cluster is "".
type binding struct {
	namespace string
	subjects  []rbacv1.Subject
	role      rbacv1.RoleRef
}

func (l look) bindings(ctx context.Context) (all []binding, err error) {
	wide, err := kube.List[rbacv1.ClusterRoleBinding](ctx, l.Look, rbacv1.SchemeGroupVersion.WithResource("clusterrolebindings"), "", nil)
	if err != nil {
		return nil, err
	}
	for _, b := range wide {
		all = append(all, binding{"", b.Subjects, b.RoleRef})
	}
	narrow, err := kube.List[rbacv1.RoleBinding](ctx, l.Look, rbacv1.SchemeGroupVersion.WithResource("rolebindings"), "", nil)
	if err != nil {
		return nil, err
	}
	for _, b := range narrow {
		all = append(all, binding{b.Namespace, b.Subjects, b.RoleRef})
	}
	return all, nil
}

// means reports whether a subject of a binding is a service account of the namespace, or a group
// that it belongs to.
func (l look) means(s rbacv1.Subject, in, account string) bool {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		namespace := s.Namespace
		if namespace == "" {
			namespace = in
		}
		return s.Name == account && namespace == l.Namespace
	case rbacv1.UserKind:
		return s.Name == "system:serviceaccount:"+l.Namespace+":"+account
	case rbacv1.GroupKind:
		return slices.Contains([]string{"system:serviceaccounts", "system:serviceaccounts:" + l.Namespace, "system:authenticated"}, s.Name)
	}
	return false
}

// rules are those of the role of a binding, each role being read once. One that is not there gives
// no rights.
func (l look) rules(ctx context.Context, known map[string][]rbacv1.PolicyRule, b binding) (rules []rbacv1.PolicyRule, err error) {
	key := b.role.Kind + "/" + b.role.Name
	if b.role.Kind == "Role" {
		key = b.namespace + "/" + key
	}
	if rules, ok := known[key]; ok {
		return rules, nil
	}
	if b.role.Kind == "Role" {
		var role rbacv1.Role
		role, err = kube.Get[rbacv1.Role](ctx, l.Look, rbacv1.SchemeGroupVersion.WithResource("roles"), b.namespace, b.role.Name)
		rules = role.Rules
	} else {
		var role rbacv1.ClusterRole
		role, err = kube.Get[rbacv1.ClusterRole](ctx, l.Look, rbacv1.SchemeGroupVersion.WithResource("clusterroles"), "", b.role.Name)
		rules = role.Rules
	}
	if err != nil && !errors.Is(err, kube.ErrMissing) {
		return nil, err
	}
	known[key] = rules
	return rules, nil
}
