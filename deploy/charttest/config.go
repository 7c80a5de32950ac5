package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval"
	"github.com/blackdice/shipwarden/services/executor"
	"github.com/blackdice/shipwarden/services/recorder"
	"github.com/blackdice/shipwarden/services/validator"
)

// root is where everything that the chart mounts lies.
const root = "/etc/shipwarden/"

// fileName finds the files that a configuration names.
var fileName = regexp.MustCompile(regexp.QuoteMeta(root) + `[^\s"',}\]]+`)

// load reads a configuration as the service does, and returns what all have in
// common.
func load(name, path string) (*configv1.Common, error) {
	switch name {
	case "approval":
		cfg, err := approval.Load(path)
		return cfg.GetCommon(), err
	case "validator":
		cfg, err := validator.Load(path)
		return cfg.GetCommon(), err
	case "executor":
		cfg, err := executor.Load(path)
		return cfg.GetCommon(), err
	default:
		cfg, err := recorder.Load(path)
		return cfg.GetCommon(), err
	}
}

// configurations loads the configuration of every service, each from a folder tree
// below dir that has what the pod mounts. The procedure document is that of
// renderings which name one that is there already.
func configurations(c chart, procedure, dir string) []string {
	elsewhere := someoneElses(procedure)
	var out []string
	for _, name := range services {
		deployment := c.service("Deployment", name)
		if deployment == nil || len(deployment.Spec.Template.Spec.Containers) == 0 {
			continue // Said by another rule.
		}
		for _, p := range configuration(c, name, deployment.Spec.Template.Spec, elsewhere, filepath.Join(dir, name)) {
			out = append(out, fmt.Sprintf("%s: %s", name, p))
		}
	}
	return out
}

func configuration(c chart, name string, p pod, elsewhere map[string]string, dir string) []string {
	if err := mount(c, p, elsewhere, dir); err != nil {
		return []string{err.Error()}
	}
	args := p.Containers[0].Args
	at := slices.Index(args, "-config") + 1
	if at == 0 || at == len(args) {
		return []string{"no -config is given"}
	}
	path := filepath.Join(dir, args[at])
	text, err := os.ReadFile(path)
	if err != nil {
		return []string{fmt.Sprintf("-config %s is not mounted", args[at])}
	}
	var out []string
	for _, named := range fileName.FindAllString(string(text), -1) {
		if _, err := os.Stat(filepath.Join(dir, named)); err != nil {
			out = append(out, fmt.Sprintf("%s is named and not mounted", named))
		}
	}
	// What lies below the root of the pod lies below dir here.
	here := strings.ReplaceAll(string(text), root, dir+root)
	for _, tool := range tools(text) {
		if err := place(filepath.Join(dir, tool)); err != nil {
			return append(out, err.Error())
		}
		here = strings.ReplaceAll(here, tool, dir+tool)
	}
	if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
		return append(out, err.Error())
	}
	common, err := load(name, path)
	if err != nil {
		return append(out, "its configuration: "+strings.ReplaceAll(err.Error(), dir, ""))
	}
	return append(out, keyring(name, common)...)
}

// tools returns the executables that a configuration names, which the operator's
// image brings along.
func tools(config []byte) []string {
	var cfg struct {
		Targets []struct {
			Host    struct{ Restart struct{ Argv []string } }
			Command struct{ Allow []string }
		}
	}
	if err := yaml.Unmarshal(config, &cfg); err != nil {
		return nil // The service says the same, and better.
	}
	var out []string
	for _, t := range cfg.Targets {
		out = append(out, t.Command.Allow...)
		if argv := t.Host.Restart.Argv; len(argv) > 0 {
			out = append(out, argv[0])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// place makes an executable that is never run.
func place(path string) error { return write(path, "#!/bin/false\n", 0o700) }

func write(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}

// keyring looks whether the service's events would count.
func keyring(name string, common *configv1.Common) []string {
	keys := &configv1.Keyring{}
	if err := service.LoadConfig(common.GetKeyringFile(), keys); err != nil {
		return []string{"its keyring: " + err.Error()}
	}
	if _, err := envelope.NewKeyring(keys); err != nil {
		return []string{"its keyring: " + err.Error()}
	}
	for _, k := range keys.GetKeys() {
		if k.GetId() == common.GetSigningKey().GetId() && k.GetWriter() == name {
			return nil
		}
	}
	return []string{fmt.Sprintf("its signing key %s is not in the keyring", common.GetSigningKey().GetId())}
}

// mount makes the files that the pod's first container sees, but for those on
// claims. What is in a Secret nobody knows here; that it is there is enough.
func mount(c chart, p pod, elsewhere map[string]string, dir string) error {
	for _, m := range p.Containers[0].VolumeMounts {
		at := slices.IndexFunc(p.Volumes, func(v volume) bool { return v.Name == m.Name })
		if at < 0 {
			return fmt.Errorf("mounts %s, which is no volume", m.Name)
		}
		for name, text := range content(c, p.Volumes[at], elsewhere) {
			path := filepath.Join(dir, m.MountPath, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// kubeconfig stands for one of a cluster that somebody may read.
const kubeconfig = `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://cluster.example.com"}}]
users: [{name: u, user: {token: a secret}}]
`

// content is what a volume holds, by file name.
func content(c chart, v volume, elsewhere map[string]string) map[string]string {
	out := map[string]string{}
	switch {
	case v.Secret != nil:
		for _, item := range v.Secret.Items {
			out[item.Path] = "a secret\n"
			switch {
			case item.Path == "ca.crt":
				out[item.Path] = authority()
			case strings.HasPrefix(v.Name, "cluster-"):
				out[item.Path] = kubeconfig
			}
		}
	case v.ConfigMap != nil:
		data := elsewhere
		for _, o := range c.of("ConfigMap") {
			if o.Metadata.Name == v.ConfigMap.Name {
				data = o.Data
			}
		}
		if len(v.ConfigMap.Items) == 0 {
			return data
		}
		for _, item := range v.ConfigMap.Items {
			if text, found := data[item.Key]; found {
				out[item.Path] = text
			}
		}
	}
	return out
}

// someoneElses returns the files that stand for ConfigMaps which the chart does not
// make.
func someoneElses(procedure string) map[string]string {
	return map[string]string{"procedure.yaml": procedure, "keyring.yaml": `keys:
- {id: approval-1, writer: approval, ed25519: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=}
- {id: validator-1, writer: validator, ed25519: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=}
- {id: executor-1, writer: executor, ed25519: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=}
- {id: recorder-1, writer: recorder, ed25519: BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=}
`}
}
