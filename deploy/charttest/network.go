package main

import (
	"fmt"
	"slices"
	"strings"
)

func policiesNamePeers(c chart) []string {
	policies := c.of("NetworkPolicy")
	if len(policies) == 0 {
		return nil // Switched off as a whole.
	}
	var out []string
	denied := false
	for _, o := range policies {
		if !slices.Contains(o.Spec.PolicyTypes, "Ingress") || !slices.Contains(o.Spec.PolicyTypes, "Egress") {
			out = append(out, fmt.Sprintf("%s leaves a direction open", o))
		}
		for i, t := range o.Spec.Ingress {
			if len(t.From) == 0 || len(t.Ports) == 0 {
				out = append(out, fmt.Sprintf("%s, ingress rule %d lets everybody or everything in", o, i))
			}
		}
		for i, t := range o.Spec.Egress {
			if len(t.To) == 0 {
				out = append(out, fmt.Sprintf("%s, egress rule %d lets everything out", o, i))
			}
		}
		if _, one := o.Spec.PodSelector.MatchLabels[componentLabel]; !one && len(o.Spec.Ingress)+len(o.Spec.Egress) == 0 {
			denied = true
		}
	}
	if !denied {
		out = append(out, "no NetworkPolicy denies everything by default")
	}
	for _, name := range services {
		if c.service("NetworkPolicy", name) == nil {
			out = append(out, name+" has no NetworkPolicy")
		}
	}
	return out
}

func onlyTheRecorderHasADatabase(c chart) []string {
	var out []string
	for _, o := range c.withPods() {
		if o.Metadata.Labels[componentLabel] == "recorder" {
			continue
		}
		for _, v := range o.Spec.Template.Spec.Volumes {
			if strings.HasPrefix(v.Name, "database") {
				out = append(out, fmt.Sprintf("%s mounts %s", o, v.Name))
			}
		}
	}
	for _, o := range c.of("NetworkPolicy") {
		if o.Metadata.Labels[componentLabel] == "recorder" {
			continue
		}
		for _, t := range o.Spec.Egress {
			for _, p := range t.Ports {
				if p.Port == 5432 {
					out = append(out, fmt.Sprintf("%s lets port 5432 out", o))
				}
			}
		}
	}
	return out
}

func selectorsMatch(c chart) []string {
	var out []string
	for _, o := range c {
		want := map[string]string{}
		var nested selector
		switch o.Kind {
		case "Service":
			if err := o.Spec.Selector.Decode(&want); err != nil {
				out = append(out, fmt.Sprintf("%s: %v", o, err))
			}
		case "Deployment", "PodDisruptionBudget", "PodMonitor":
			if err := o.Spec.Selector.Decode(&nested); err != nil {
				out = append(out, fmt.Sprintf("%s: %v", o, err))
			}
			want = nested.MatchLabels
		case "NetworkPolicy":
			want = o.Spec.PodSelector.MatchLabels
		default:
			continue
		}
		if len(want) == 0 || !selectsAny(c, o, want) {
			out = append(out, fmt.Sprintf("%s selects no pods of its own, or those of strangers as well", o))
		}
	}
	return out
}

// selectsAny reports whether a pod has the labels: of a Deployment its own pods.
func selectsAny(c chart, o object, want map[string]string) bool {
	for _, p := range c.withPods() {
		if o.Kind == "Deployment" && p.Metadata.Name != o.Metadata.Name {
			continue
		}
		all := want["app.kubernetes.io/instance"] != ""
		for k, v := range want {
			all = all && p.Spec.Template.Metadata.Labels[k] == v
		}
		if all {
			return true
		}
	}
	return false
}

func objectsAreLabeled(c chart) []string {
	var out []string
	for _, o := range c {
		for _, name := range []string{"name", "instance", "part-of", "version", "managed-by"} {
			if o.Metadata.Labels["app.kubernetes.io/"+name] == "" {
				out = append(out, fmt.Sprintf("%s lacks the label %s", o, name))
			}
		}
		if o.Metadata.Namespace == "" {
			out = append(out, fmt.Sprintf("%s has no namespace", o))
		}
	}
	return out
}
