package criterion

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Controls are the names of the controls of security that a check has, in the order of the
// contract; none where it is of another kind.
func Controls(c *releasev1.Check) (all []string) {
	probe := c.GetKubernetesSecurity()
	if probe == nil {
		return nil
	}
	m := probe.ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		field := m.Descriptor().Fields().Get(i)
		if isControl(field) && m.Has(field) {
			all = append(all, string(field.Name()))
		}
	}
	return all
}

// isControl tells the controls of a security check from what else is said in it.
func isControl(field protoreflect.FieldDescriptor) bool {
	return field.Kind() == protoreflect.MessageKind && field.Name() != "workloads" && field.Name() != "timeout"
}

// Each returns the checks that are looked at one by one: a check of controls of security is one
// for each of them (PD-6.1), so that each has samples, a verdict and a name of its own, "<check>.<control>".
// No check of a request has such a name. Others are returned as they are, and none is changed.
func Each(checks []*releasev1.Check) (all []*releasev1.Check) {
	for _, c := range checks {
		controls := Controls(c)
		if len(controls) == 0 {
			all = append(all, c)
			continue
		}
		for _, control := range controls {
			one := proto.CloneOf(c)
			one.Name += "." + control
			m := one.GetKubernetesSecurity().ProtoReflect()
			for i := range m.Descriptor().Fields().Len() {
				if field := m.Descriptor().Fields().Get(i); isControl(field) && string(field.Name()) != control {
					m.Clear(field)
				}
			}
			all = append(all, one)
		}
	}
	return all
}

// Hard reports whether one sample that failed fails the check, whatever the others say.
func Hard(c *releasev1.Check) bool { return c.GetKubernetesSecurity() != nil }

// Workloads are those that a check looks at in Kubernetes; nil where it looks at none, or, for controls
// of security, at everything in the namespace.
func Workloads(c *releasev1.Check) *releasev1.KubernetesWorkloads {
	if p := c.GetKubernetesRollout(); p != nil {
		return p.GetWorkloads()
	}
	return c.GetKubernetesSecurity().GetWorkloads()
}

// InKubernetes reports whether a check looks at a target that is a namespace of a cluster.
func InKubernetes(c *releasev1.Check) bool {
	return c.GetKubernetesRollout() != nil || c.GetKubernetesSecurity() != nil
}

// WorkloadKind is a kind of workloads as Kubernetes writes it, "" where it is none.
func WorkloadKind(k releasev1.KubernetesWorkload_Kind) string {
	switch k {
	case releasev1.KubernetesWorkload_KIND_DEPLOYMENT:
		return "Deployment"
	case releasev1.KubernetesWorkload_KIND_STATEFUL_SET:
		return "StatefulSet"
	case releasev1.KubernetesWorkload_KIND_DAEMON_SET:
		return "DaemonSet"
	case releasev1.KubernetesWorkload_KIND_UNSPECIFIED:
	}
	return ""
}

// PodLevel is a level of the Pod Security Standards as Kubernetes writes it.
func PodLevel(l releasev1.KubernetesPodControl_Level) string {
	return strings.ToLower(strings.TrimPrefix(l.String(), "LEVEL_"))
}

// Enforced is the level that a namespace must enforce at least.
func Enforced(p *releasev1.KubernetesPodControl) releasev1.KubernetesPodControl_Level {
	if p.GetEnforced() == releasev1.KubernetesPodControl_LEVEL_UNSPECIFIED {
		return p.GetLevel()
	}
	return p.GetEnforced()
}

// which says what workloads a check looks at.
func which(w *releasev1.KubernetesWorkloads) string {
	var out []string
	for _, one := range w.GetNamed() {
		out = append(out, WorkloadKind(one.GetKind())+"/"+one.GetName())
	}
	if len(out) > 0 {
		return strings.Join(out, " and ")
	}
	for key, value := range w.GetLabels() {
		out = append(out, key+"="+value)
	}
	slices.Sort(out)
	return "workloads with " + strings.Join(out, ",")
}

func rolloutLooks(c *releasev1.Check) string {
	return "kubernetes " + which(Workloads(c)) + " rolled out"
}

func rolloutExpects(c *releasev1.Check) []string {
	p := c.GetKubernetesRollout()
	out := []string{fmt.Sprintf("no container started again more than %d times", p.GetMaxRestarts())}
	if of := p.GetNoEvents(); len(of) > 0 {
		out = append(out, "no warning of "+strings.Join(of, " or ")+" since the change began")
	}
	return out
}

func securityLooks(c *releasev1.Check) string {
	if Workloads(c) == nil {
		return "kubernetes security of everything in the namespace"
	}
	return "kubernetes security of " + which(Workloads(c))
}

// securityExpects are the words of each control.
func securityExpects(c *releasev1.Check) (out []string) {
	p := c.GetKubernetesSecurity()
	if of := p.GetImageDigests(); of != nil {
		words := "image_digests: every container runs an image that was approved"
		if also := of.GetAlso(); len(also) > 0 {
			words += " or " + strings.Join(also, " or ")
		}
		out = append(out, words)
	}
	if of := p.GetPodSecurity(); of != nil {
		out = append(out, fmt.Sprintf("pod_security: pods are %s and the namespace enforces %s at least", PodLevel(of.GetLevel()), PodLevel(Enforced(of))))
	}
	if of := p.GetNetworkPolicy(); of != nil {
		out = append(out, "network_policy: policies select every pod for "+directions(of))
	}
	if of := p.GetExposure(); of != nil {
		out = append(out, "exposure: "+exposures(of))
	}
	if of := p.GetServiceAccount(); of != nil {
		out = append(out, "service_account: "+rights(of))
	}
	if of := p.GetPlainSecrets(); of != nil {
		words := "plain_secrets: nothing looks like a secret in plain text"
		if allowed := of.GetAllowed(); len(allowed) > 0 {
			words += " but " + strings.Join(allowed, ", ")
		}
		out = append(out, words)
	}
	return out
}

func directions(of *releasev1.KubernetesNetworkControl) string {
	switch {
	case of.GetIngress() && of.GetEgress():
		return "ingress and egress"
	case of.GetIngress():
		return "ingress"
	}
	return "egress"
}

func exposures(of *releasev1.KubernetesExposureControl) string {
	if len(of.GetAllowed()) == 0 {
		return "nothing can be reached from outside"
	}
	var out []string
	for _, e := range of.GetAllowed() {
		one := e.GetKind() + "/" + e.GetName()
		if hosts := e.GetHosts(); len(hosts) > 0 {
			one += " as " + strings.Join(hosts, " or ")
		}
		out = append(out, one)
	}
	return "nothing can be reached from outside but " + strings.Join(out, ", ")
}

func rights(of *releasev1.KubernetesAccountControl) string {
	switch {
	case of.GetRightsDigest() != "":
		return "its rights are " + of.GetRightsDigest()
	case len(of.GetAllowed()) == 0:
		return "it has no rights"
	}
	var out []string
	for _, r := range of.GetAllowed() {
		one := strings.Join(r.GetVerbs(), "/") + " " + r.GetResource()
		if r.GetApiGroup() != "" {
			one += "." + r.GetApiGroup()
		}
		if r.GetName() != "" {
			one += " " + strconv.Quote(r.GetName())
		}
		if r.GetEverywhere() {
			one += " everywhere"
		}
		out = append(out, one)
	}
	return "it has no rights but " + strings.Join(out, ", ")
}

// workloadFaults are what is wrong with the workloads of a check beside what the schema says.
func workloadFaults(c *releasev1.Check) (all []Fault) {
	seen := map[string]bool{}
	for i, w := range Workloads(c).GetNamed() {
		name := WorkloadKind(w.GetKind()) + "/" + w.GetName()
		if seen[name] {
			all = append(all, Fault{
				Field: fmt.Sprintf("%s.workloads.named[%d]", Kind(c), i), Rule: "workload.twice", Message: name + " is there already",
			})
		}
		seen[name] = true
	}
	return all
}

// securityFaults are what is wrong with a check of controls.
func securityFaults(c *releasev1.Check) []Fault {
	all := workloadFaults(c)
	seen := map[string]bool{}
	for i, e := range c.GetKubernetesSecurity().GetExposure().GetAllowed() {
		name := e.GetKind() + "/" + e.GetName()
		if seen[name] {
			all = append(all, Fault{
				Field: fmt.Sprintf("kubernetes_security.exposure.allowed[%d]", i), Rule: "exposure.twice", Message: name + " is there already",
			})
		}
		seen[name] = true
		if e.GetKind() == "Service" && len(e.GetHosts()) > 0 {
			all = append(all, Fault{
				Field: fmt.Sprintf("kubernetes_security.exposure.allowed[%d].hosts", i), Rule: "exposure.hosts", Message: "a Service has no hosts",
			})
		}
	}
	return all
}
