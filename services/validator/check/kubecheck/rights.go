package kubecheck

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/blackdice/shipwarden/services/validator/check"
)

// rightsOf are the verbs of each right.
type rightsOf map[thing]map[string]bool

// thing is what something may be done with: a resource with its group, or a path.
type thing struct{ resource, name, namespace, path string }

// add adds the rights of rules that are bound in a namespace, or with "" everywhere. Where that is the
// one that is looked at, they are written alike for every target.
func (all rightsOf) add(rules []rbacv1.PolicyRule, in, looked string) {
	namespace := in
	switch in {
	case "":
		namespace = check.Everywhere
	case looked:
		namespace = check.Here
	}
	for _, rule := range rules {
		if in == "" { // Paths are let in for the whole cluster alone.
			for _, path := range rule.NonResourceURLs {
				if !public(rule, path) {
					all.let(thing{path: path}, rule.Verbs)
				}
			}
		}
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				if ofItself(rule, group, resource) {
					continue
				}
				if group != "" {
					resource += "." + group
				}
				for _, name := range names {
					all.let(thing{resource: resource, name: name, namespace: namespace}, rule.Verbs)
				}
			}
		}
	}
}

func (all rightsOf) let(t thing, verbs []string) {
	if all[t] == nil {
		all[t] = map[string]bool{}
	}
	for _, verb := range verbs {
		all[t][verb] = true
	}
}

// public reports whether a rule lets nothing but read what the server tells every account of itself.
func public(rule rbacv1.PolicyRule, path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return slices.Equal(rule.Verbs, []string{"get"}) && slices.Contains([]string{
		"api", "apis", "healthz", "livez", "readyz", "version", "openapi", ".well-known", "openid",
	}, first)
}

// ofItself reports whether a right is to ask who one is and what one may, or to read which authorities
// the cluster makes known: every account has it.
func ofItself(rule rbacv1.PolicyRule, group, resource string) bool {
	if group == "certificates.k8s.io" && resource == "clustertrustbundles" {
		return !slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) })
	}
	return slices.Equal(rule.Verbs, []string{"create"}) &&
		(group == "authorization.k8s.io" && (resource == "selfsubjectaccessreviews" || resource == "selfsubjectrulesreviews") ||
			group == "authentication.k8s.io" && resource == "selfsubjectreviews")
}

// say says the digest of all rights, and each of them.
func (all rightsOf) say(l look, account string) {
	var lines []string
	for t, verbs := range all {
		lines = append(lines, check.Right{
			Verbs: slices.Sorted(maps.Keys(verbs)), Resource: t.resource, Name: t.name, Namespace: t.namespace, Path: t.path,
		}.String())
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	l.say(account, check.FactRights, "sha256:"+hex.EncodeToString(sum[:]))
	for _, line := range lines {
		l.say(account, check.FactRight, line)
	}
}
