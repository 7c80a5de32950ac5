package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
	"github.com/blackdice/shipwarden/services/executor/driver/terraform"
)

// Check says what is wrong with a configuration beside what Load reads in it, without
// reaching anybody: executables, files and folders that are named, keys and addresses.
// The error names every field at fault.
func Check(cfg *configv1.Executor) error {
	return errors.Join(station.CheckReaching(procedure.ServiceExecutor, cfg), executables(cfg.GetTargets()), buckets(cfg.GetTargets()), programs(cfg.GetTargets()),
		service.InField("state_folder", stateFolder(cfg.GetStateFolder())))
}

// stateFolder refuses what is there and no folder; one that is not there is made.
func stateFolder(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return service.CheckFolder(path)
}

// buckets names what is wrong with how the buckets of configuration documents are reached.
func buckets(targets []*configv1.TargetDriver) error {
	var wrong []error
	for i, t := range targets {
		if t.GetConfig() != nil {
			wrong = append(wrong, service.Below(fmt.Sprintf("targets[%d].config.entry.nats", i), service.CheckNATS(t.GetConfig().GetEntry().GetNats())))
		}
	}
	return errors.Join(wrong...)
}

// programs names what is wrong with a Terraform that targets run, its version among it, and with
// what it is to be given.
func programs(targets []*configv1.TargetDriver) error {
	var wrong []error
	for i, t := range targets {
		c := t.GetTerraform()
		if c == nil {
			continue
		}
		field := fmt.Sprintf("targets[%d].terraform", i)
		if err := terraform.CheckTool(c.GetBinary(), c.GetVersion()); err != nil {
			wrong = append(wrong, fmt.Errorf("%s.%w", field, err))
		}
		if path := c.GetProviderFolder(); path != "" {
			wrong = append(wrong, service.InField(field+".provider_folder", service.CheckFolder(path)))
		}
		for j, credential := range c.GetPlanCredentials() {
			wrong = append(wrong, service.InField(fmt.Sprintf("%s.plan_credentials[%d].file", field, j), readable(credential.GetFile())))
		}
		for j, credential := range c.GetApplyCredentials() {
			wrong = append(wrong, service.InField(fmt.Sprintf("%s.apply_credentials[%d].file", field, j), readable(credential.GetFile())))
		}
	}
	return errors.Join(wrong...)
}

// readable refuses a file that cannot be read.
func readable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}

// executables names what targets would run or read, and what cannot be: a wave would find it out
// after it has changed something.
func executables(targets []*configv1.TargetDriver) error {
	var wrong []error
	look := func(field, path string) {
		// What comes with a release is not there before it.
		if path != "" && !strings.Contains(path, "{") {
			wrong = append(wrong, service.InField(field, service.CheckExecutable(path)))
		}
	}
	for i, t := range targets {
		field := fmt.Sprintf("targets[%d].", i)
		look(field+"host.restart.argv[0]", first(t.GetHost().GetRestart()))
		look(field+"command.deploy.argv[0]", first(t.GetCommand().GetDeploy()))
		look(field+"command.rollback.argv[0]", first(t.GetCommand().GetRollback()))
		look(field+"command.preview.argv[0]", first(t.GetCommand().GetPreview()))
		look(field+"command.rollback_dry_run.argv[0]", first(t.GetCommand().GetRollbackDryRun()))
		if k := t.GetKubernetes(); k != nil {
			wrong = append(wrong, service.InField(field+"kubernetes.kubeconfig_file", cluster.CheckKubeconfig(k.GetKubeconfigFile())))
		}
		if h := t.GetHelm(); h != nil {
			wrong = append(wrong, service.InField(field+"helm.kubeconfig_file", cluster.CheckKubeconfig(h.GetKubeconfigFile())))
			wrong = append(wrong, service.InField(field+"helm", helm.CheckFiles(h)))
		}
		if g := t.GetGitops(); g != nil {
			wrong = append(wrong, service.InField(field+"gitops.kubeconfig_file", cluster.CheckKubeconfig(g.GetKubeconfigFile())))
		}
		for j, path := range t.GetCommand().GetAllow() {
			look(fmt.Sprintf("%scommand.allow[%d]", field, j), path)
		}
	}
	return errors.Join(wrong...)
}

func first(c *configv1.Command) string {
	if len(c.GetArgv()) == 0 {
		return ""
	}
	return c.GetArgv()[0]
}
