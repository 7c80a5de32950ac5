package main

import (
	"fmt"
	"slices"
)

func everyServiceIsThere(c chart) []string {
	var out []string
	for _, name := range services {
		for _, kind := range []string{"Deployment", "ConfigMap", "Service"} {
			if c.service(kind, name) == nil {
				out = append(out, fmt.Sprintf("%s has no %s", name, kind))
			}
		}
	}
	return out
}

func podsAreLockedDown(c chart) []string {
	var out []string
	for _, o := range c.withPods() {
		p := o.Spec.Template.Spec
		if !truth(p.SecurityContext.RunAsNonRoot) || p.SecurityContext.RunAsUser == 0 {
			out = append(out, fmt.Sprintf("%s may run as root", o))
		}
		if p.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
			out = append(out, fmt.Sprintf("%s has no seccomp profile", o))
		}
		if p.SecurityContext.FSGroup == 0 {
			out = append(out, fmt.Sprintf("%s has no fsGroup, and cannot read its secrets", o))
		}
		for _, k := range slices.Concat(p.InitContainers, p.Containers) {
			for _, fault := range faults(k.SecurityContext) {
				out = append(out, fmt.Sprintf("%s, container %s: %s", o, k.Name, fault))
			}
		}
	}
	return out
}

// faults says in what a container is not locked down.
func faults(s security) []string {
	var out []string
	for fault, found := range map[string]bool{
		"runAsNonRoot is not set":                !truth(s.RunAsNonRoot),
		"the root file system is writable":       !truth(s.ReadOnlyRootFilesystem),
		"privileges can be escalated":            s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation,
		"it is privileged":                       s.Privileged,
		"capabilities are not all dropped":       !slices.Contains(s.Capabilities.Drop, "ALL"),
		"capabilities are added":                 len(s.Capabilities.Add) > 0,
		"the seccomp profile is not the default": s.SeccompProfile.Type != "RuntimeDefault",
	} {
		if found {
			out = append(out, fault)
		}
	}
	slices.Sort(out)
	return out
}

func noTokens(c chart) []string {
	var out []string
	for _, o := range c.of("ServiceAccount") {
		if o.Automount == nil || *o.Automount {
			out = append(out, fmt.Sprintf("%s hands out tokens", o))
		}
	}
	used := map[string]string{}
	for _, o := range c.withPods() {
		p := o.Spec.Template.Spec
		if p.Automount == nil || *p.Automount {
			out = append(out, fmt.Sprintf("%s mounts a token", o))
		}
		if other, taken := used[p.ServiceAccountName]; taken {
			out = append(out, fmt.Sprintf("%s has the service account of %s", o, other))
		}
		used[p.ServiceAccountName] = o.String()
	}
	return out
}

func podsHaveResources(c chart) []string {
	var out []string
	for _, o := range c.withPods() {
		for _, k := range o.Spec.Template.Spec.Containers {
			if k.Resources.Requests["cpu"] == "" || k.Resources.Requests["memory"] == "" || k.Resources.Limits["memory"] == "" {
				out = append(out, fmt.Sprintf("%s, container %s lacks a request or the memory limit", o, k.Name))
			}
		}
	}
	return out
}

func podsAreProbed(c chart) []string {
	var out []string
	for _, o := range c.of("Deployment") {
		for _, k := range o.Spec.Template.Spec.Containers {
			if k.StartupProbe.HTTPGet.Path != "/healthz" || k.LivenessProbe.HTTPGet.Path != "/healthz" {
				out = append(out, fmt.Sprintf("%s does not ask /healthz whether it lives", o))
			}
			if k.ReadinessProbe.HTTPGet.Path != "/readyz" {
				out = append(out, fmt.Sprintf("%s does not ask /readyz whether it is ready", o))
			}
		}
	}
	return out
}

func secretsAreForTheGroup(c chart) []string {
	var out []string
	for _, o := range c.withPods() {
		for _, v := range o.Spec.Template.Spec.Volumes {
			if v.Secret == nil {
				continue
			}
			if v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o440 {
				out = append(out, fmt.Sprintf("%s, volume %s: defaultMode is not 0440", o, v.Name))
			}
			if len(v.Secret.Items) == 0 {
				out = append(out, fmt.Sprintf("%s, volume %s mounts every key of the secret", o, v.Name))
			}
		}
	}
	return out
}

func truth(b *bool) bool { return b != nil && *b }
