package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// services are the four, each with a Deployment of its own.
var services = []string{"approval", "validator", "executor", "recorder"}

// componentLabel names the service in labels.
const componentLabel = "app.kubernetes.io/component"

// chart is everything that was rendered.
type chart []object

// object is one manifest, as far as anything here looks at it.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   metadata
	Data       map[string]string
	Automount  *bool `yaml:"automountServiceAccountToken"`
	Spec       spec
}

type metadata struct {
	Name, Namespace     string
	Labels, Annotations map[string]string
}

// spec has the fields of every kind at once; those of other kinds stay empty.
type spec struct {
	// Selector is a map of labels in a Service, and has matchLabels elsewhere.
	Selector    yaml.Node
	PodSelector selector `yaml:"podSelector"`
	PolicyTypes []string `yaml:"policyTypes"`
	Ingress     []traffic
	Egress      []traffic
	Template    struct {
		Metadata metadata
		Spec     pod
	}
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type traffic struct {
	From, To []map[string]any
	Ports    []struct {
		Port     any
		Protocol string
	}
}

type pod struct {
	ServiceAccountName string   `yaml:"serviceAccountName"`
	Automount          *bool    `yaml:"automountServiceAccountToken"`
	SecurityContext    security `yaml:"securityContext"`
	Containers         []container
	InitContainers     []container `yaml:"initContainers"`
	Volumes            []volume
}

type container struct {
	Name, Image     string
	Args            []string
	SecurityContext security `yaml:"securityContext"`
	Resources       struct {
		Requests, Limits map[string]string
	}
	StartupProbe   probe `yaml:"startupProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	VolumeMounts   []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path string } `yaml:"httpGet"`
}

type security struct {
	RunAsNonRoot             *bool `yaml:"runAsNonRoot"`
	RunAsUser                int64 `yaml:"runAsUser"`
	FSGroup                  int64 `yaml:"fsGroup"`
	ReadOnlyRootFilesystem   *bool `yaml:"readOnlyRootFilesystem"`
	AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
	Privileged               bool
	Capabilities             struct{ Add, Drop []string }
	SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
}

type volume struct {
	Name      string
	ConfigMap *source `yaml:"configMap"`
	Secret    *source
}

type source struct {
	Name        string
	SecretName  string `yaml:"secretName"`
	DefaultMode *int   `yaml:"defaultMode"`
	Items       []struct{ Key, Path string }
}

// parse reads a stream of manifests. A key given twice in one mapping is an error.
func parse(data []byte) (chart, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var out chart
	for {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifest %d: %w", len(out)+1, err)
		}
		if o.Kind != "" {
			out = append(out, o)
		}
	}
}

// of returns the objects of a kind.
func (c chart) of(kind string) []object {
	var out []object
	for _, o := range c {
		if o.Kind == kind {
			out = append(out, o)
		}
	}
	return out
}

// withPods returns the objects that make pods.
func (c chart) withPods() []object { return append(c.of("Deployment"), c.of("Job")...) }

// service returns the object of a kind that belongs to a service; nil without one.
func (c chart) service(kind, name string) *object {
	for _, o := range c.of(kind) {
		if o.Metadata.Labels[componentLabel] == name {
			return &o
		}
	}
	return nil
}

func (o object) String() string { return o.Kind + " " + o.Metadata.Name }
