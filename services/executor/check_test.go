package executor_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/blackdice/shipwarden/internal/station/stationtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor"
)

func TestWhatTheConfigurationNamesIsThere(t *testing.T) {
	host := func(restart string) *configv1.TargetDriver {
		return &configv1.TargetDriver{Target: "eu1", Driver: &configv1.TargetDriver_Host{Host: &configv1.HostDriver{
			Folder: "/srv/shop", Restart: &configv1.Command{Argv: []string{restart}},
		}}}
	}
	for _, test := range []struct {
		name   string
		change func(*configv1.Executor)
		fields []string
	}{
		{"nothing", func(*configv1.Executor) {}, nil},
		{"the private key", func(c *configv1.Executor) { c.Common.SigningKey.File = "/none" }, []string{"common.signing_key.file"}},
		{"the folder of the artifacts", func(c *configv1.Executor) { c.ArtifactFolder = "/none" }, []string{"artifact_folder"}},
		{"a folder that is to be made", func(c *configv1.Executor) { c.StateFolder = t.TempDir() + "/made" }, nil},
		{"a folder that is a file", func(c *configv1.Executor) { c.StateFolder = "/dev/null" }, []string{"state_folder"}},
		{"what restarts", func(c *configv1.Executor) { c.Targets[1] = host("/none") }, []string{"targets[1].host.restart.argv[0]"}},
		{"what comes with the release", func(c *configv1.Executor) { c.Targets[1] = host("{current}/restart") }, nil},
		{"who the executor is in a cluster", func(c *configv1.Executor) {
			c.Targets[0].Driver = &configv1.TargetDriver_Kubernetes{Kubernetes: &configv1.KubernetesDriver{KubeconfigFile: "/none", Namespace: "shop"}}
		}, []string{"targets[0].kubernetes.kubeconfig_file"}},
		{"who the executor is where a repository is followed", func(c *configv1.Executor) {
			c.Targets[0].Driver = &configv1.TargetDriver_Gitops{Gitops: &configv1.GitopsDriver{KubeconfigFile: "/none", Namespace: "argocd"}}
		}, []string{"targets[0].gitops.kubeconfig_file"}},
		{"a Terraform that is not there", func(c *configv1.Executor) {
			c.Targets[0].Driver = &configv1.TargetDriver_Terraform{Terraform: &configv1.TerraformDriver{
				Folder: "/srv/shop", Binary: "/none", Version: "1.12.6", ProviderFolder: "/nowhere",
				PlanCredentials:  []*configv1.TerraformCredential{{Env: "AWS_ACCESS_KEY_ID", File: "/nothing"}},
				ApplyCredentials: []*configv1.TerraformCredential{{Env: "AWS_ACCESS_KEY_ID", File: "/nobody"}},
			}}
		}, []string{
			"targets[0].terraform.binary", "targets[0].terraform.provider_folder", "targets[0].terraform.plan_credentials[0].file", "targets[0].terraform.apply_credentials[0].file",
		}},
		{"a Terraform of another version", func(c *configv1.Executor) {
			tofu := filepath.Join(t.TempDir(), "tofu")
			if err := os.WriteFile(tofu, []byte("#!/bin/sh\necho '{\"terraform_version\": \"1.11.0\"}'\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			c.Targets[0].Driver = &configv1.TargetDriver_Terraform{Terraform: &configv1.TerraformDriver{Folder: "/srv/shop", Binary: tofu, Version: "1.12.6"}}
		}, []string{"targets[0].terraform.version"}},
		{"who the executor is in a cluster, and the values of a chart", func(c *configv1.Executor) {
			c.Targets[0].Driver = &configv1.TargetDriver_Helm{Helm: &configv1.HelmDriver{KubeconfigFile: "/none", Namespace: "shop", ValuesFile: "/nothing"}}
		}, []string{"targets[0].helm.kubeconfig_file", "targets[0].helm: values_file"}},
		{"what deploys", func(c *configv1.Executor) {
			c.Targets[0].Driver = &configv1.TargetDriver_Command{Command: &configv1.CommandDriver{
				Deploy: &configv1.Command{Argv: []string{"/none"}}, Rollback: &configv1.Command{Argv: []string{"/nothing"}}, Allow: []string{"/none", "/nothing"},
				Preview: &configv1.Command{Argv: []string{"/nobody"}}, RollbackDryRun: &configv1.Command{Argv: []string{"/nowhere"}},
			}}
		}, []string{
			"targets[0].command.deploy.argv[0]", "targets[0].command.rollback.argv[0]", "targets[0].command.preview.argv[0]", "targets[0].command.rollback_dry_run.argv[0]", "targets[0].command.allow[0]", "targets[0].command.allow[1]",
		}},
		{"how a bucket is reached", func(c *configv1.Executor) {
			c.Targets[0].Driver = &configv1.TargetDriver_Config{Config: &configv1.ConfigDriver{Entry: &configv1.ConfigEntry{
				Nats:   &configv1.Nats{Urls: []string{"http://config-0"}, CredentialsFile: "/none", Tls: &configv1.Tls{CaFile: "/nothing"}},
				Bucket: "limits", Key: "shop",
			}}}
		}, []string{
			"targets[0].config.entry.nats.urls[0]", "targets[0].config.entry.nats.credentials_file", "targets[0].config.entry.nats.tls",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := &configv1.Executor{
				Common: stationtest.Common(t, procedure.ServiceExecutor), ArtifactFolder: t.TempDir(),
				Targets: []*configv1.TargetDriver{
					{Target: "eu0", Driver: &configv1.TargetDriver_Noop{Noop: &configv1.NoopDriver{}}}, host("/bin/sh"),
				},
			}
			test.change(cfg)
			stationtest.Named(t, executor.Check(cfg), test.fields...)
		})
	}
}
