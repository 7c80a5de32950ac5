package kubetest

type object = map[string]any

// at is an object and the collection that it is made in.
type at struct {
	path    string
	content object
}

// foundation is what every cluster has before the first test: nodes, a class of volumes that
// kwok provides, and what the identities may do where a namespace lets them.
func foundation() []at {
	const roles, classes = "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/storage.k8s.io/v1/storageclasses"
	all := []at{
		{classes, object{
			"metadata":    object{"name": "kwok", "annotations": object{"storageclass.kubernetes.io/is-default-class": "true"}},
			"provisioner": "kwok.x-k8s.io/volume",
		}},
		{roles, role(Executor, rule([]string{""}, "*", "*"), rule([]string{
			"apps", "autoscaling", "batch", "coordination.k8s.io", "networking.k8s.io", "policy",
		}, "*", "*"))},
		{roles, role(Validator, rule([]string{"apps", "autoscaling", "batch", "gateway.networking.k8s.io", "networking.k8s.io", "policy"}, "*", "get", "list", "watch"),
			object{
				"apiGroups": []string{""}, "verbs": []string{"get", "list", "watch"},
				"resources": []string{"configmaps", "endpoints", "events", "namespaces", "persistentvolumeclaims", "pods", "pods/log", "services"},
			})},
		// What an account may do is bound in any namespace, or in none.
		{roles, object{"metadata": object{"name": "kubetest-rights"}, "rules": []object{rule([]string{"rbac.authorization.k8s.io"}, "*", "get", "list")}}},
		{"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", object{
			"metadata": object{"name": "kubetest-rights"},
			"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kubetest-rights"},
			"subjects": []object{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": string(Validator)}},
		}},
	}
	for _, name := range nodes {
		all = append(all, at{"/api/v1/nodes", object{"metadata": object{
			"name": name, "annotations": object{"kwok.x-k8s.io/node": "fake"},
			"labels": object{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"},
		}}})
	}
	return all
}

func role(who Identity, rules ...object) object {
	return object{"metadata": object{"name": "kubetest-" + string(who)}, "rules": rules}
}

func rule(groups []string, resource string, verbs ...string) object {
	return object{"apiGroups": groups, "resources": []string{resource}, "verbs": verbs}
}

// lets gives an identity its role in the namespace that it is made in.
func lets(who Identity) object {
	const group = "rbac.authorization.k8s.io"
	return object{
		"metadata": object{"name": "kubetest-" + string(who)},
		"roleRef":  object{"apiGroup": group, "kind": "ClusterRole", "name": "kubetest-" + string(who)},
		"subjects": []object{{"apiGroup": group, "kind": "User", "name": string(who)}},
	}
}

// account is the path of the service account that pods of a namespace run as.
func account(namespace string) string {
	return "/api/v1/namespaces/" + namespace + "/serviceaccounts/default"
}
