package configured_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/configured"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

func host(target, folder string, argv ...string) *configv1.TargetDriver {
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Host{Host: &configv1.HostDriver{
		Folder: folder, Restart: &configv1.Command{Argv: argv},
	}}}
}

func document(target, url, bucket, key string) *configv1.TargetDriver {
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Config{Config: &configv1.ConfigDriver{
		Entry: &configv1.ConfigEntry{Nats: &configv1.Nats{Urls: []string{url}}, Bucket: bucket, Key: key},
	}}}
}

func noop(target string) *configv1.TargetDriver {
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Noop{Noop: &configv1.NoopDriver{}}}
}

// good is a release of one name, whatever the target.
func good(target string) *configv1.TargetDriver {
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Helm{Helm: &configv1.HelmDriver{
		KubeconfigFile: "/kubeconfig", Namespace: "shop", Release: "a",
	}}}
}

func release(target, kubeconfig, name, of string) *configv1.TargetDriver {
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Helm{Helm: &configv1.HelmDriver{
		KubeconfigFile: kubeconfig, Namespace: name, Release: of,
		Parameters: []*configv1.HelmParameter{{Parameter: "x", Value: "a.b.c"}}, Secrets: []*configv1.HelmSecret{{Value: "a.b", File: "secret"}},
	}}}
}

func namespace(target, kubeconfig, name string) *configv1.TargetDriver {
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Kubernetes{Kubernetes: &configv1.KubernetesDriver{
		KubeconfigFile: kubeconfig, Namespace: name,
	}}}
}

func infrastructure(target, folder string, b *configv1.TerraformBackend) *configv1.TargetDriver {
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Terraform{Terraform: &configv1.TerraformDriver{
		Folder: folder, Binary: "/usr/bin/tofu", Version: "1.12.6", Backend: b,
	}}}
}

func folder(t *testing.T, target, path string) *configv1.TargetDriver {
	t.Helper()
	private, _ := gitrepotest.Key(t, t.TempDir(), "executor")
	return &configv1.TargetDriver{Target: target, Driver: &configv1.TargetDriver_Gitops{Gitops: &configv1.GitopsDriver{
		Repository: &configv1.GitRepository{Url: "https://git.example.com/shop/deploy", Branch: "main", SigningKeyFile: private}, Path: path,
		KubeconfigFile: "/srv/kubeconfig", Namespace: "argocd", Resource: &configv1.GitopsResource{Kind: configv1.GitopsResource_KIND_ARGOCD_APPLICATION, Name: target},
	}}}
}

func TestEveryTargetGetsItsDriver(t *testing.T) {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	drivers, err := configured.Drivers([]*configv1.TargetDriver{
		host("h", "/srv/shop", "{current}/bin/restart", "--", "{digest}"),
		{Target: "c", Driver: &configv1.TargetDriver_Command{Command: &configv1.CommandDriver{
			Deploy: &configv1.Command{Argv: []string{executable}}, MarkerFolder: "/srv/markers", Allow: []string{executable},
		}}},
		noop("n"),
		document("d", "nats://config-0:4222", "limits", "shop"),
		namespace("k", "/srv/kubeconfig", "shop"), namespace("k2", "/srv/kubeconfig", "shop"),
		infrastructure("t", "/srv/terraform", nil), infrastructure("t2", "/srv/terraform-2", &configv1.TerraformBackend{Type: "s3"}),
		folder(t, "g", "apps/shop"), folder(t, "g2", "apps/shop2"),
	}, configured.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer configured.Close(drivers)
	for target, class := range map[string]releasev1.DriverClass{
		"h": releasev1.DriverClass_DRIVER_CLASS_FENCED,
		"c": releasev1.DriverClass_DRIVER_CLASS_OPAQUE,
		"n": releasev1.DriverClass_DRIVER_CLASS_FENCED,
		"d": releasev1.DriverClass_DRIVER_CLASS_FENCED,
		"k": releasev1.DriverClass_DRIVER_CLASS_FENCED,
		"t": releasev1.DriverClass_DRIVER_CLASS_FENCED,
		"g": releasev1.DriverClass_DRIVER_CLASS_FENCED,
		// Its fence does not lie beside its state.
		"t2": releasev1.DriverClass_DRIVER_CLASS_PROBEABLE,
	} {
		if d := drivers[target]; d == nil || d.Class() != class {
			t.Errorf("target %s: driver %v", target, d)
		}
	}
}

func TestMistakesAreNamedByField(t *testing.T) {
	bad := host("bad", "relative/folder", "sh", "-c", "{artifact}")
	bad.GetHost().Restart.Env = map[string]string{"LD_PRELOAD": "/x.so", "PATH": "/tmp", "A-B": "c", "GOOD": "yes"}
	bad.GetHost().Restart.Timeout = durationpb.New(-time.Second)
	link := t.TempDir() + "/deploy"
	if err := os.Symlink("/bin/sh", link); err != nil {
		t.Fatal(err)
	}
	_, err := configured.Drivers([]*configv1.TargetDriver{
		noop("n"), noop("n"),
		{Target: "none"},
		{},
		bad,
		host("one", "/srv/shop", "/bin/true"), host("two", "/srv/shop", "/bin/true"),
		host("root", "/", "/bin/../bin/true"), host("out", "/srv/out", "{current}/../x"),
		{Target: "c", Driver: &configv1.TargetDriver_Command{Command: &configv1.CommandDriver{
			Deploy: &configv1.Command{Argv: []string{link}}, Rollback: &configv1.Command{Argv: []string{"/none"}, Env: map[string]string{"GIT_SSH_COMMAND": "x"}},
			MarkerFolder: "/srv/c", Allow: []string{"/bin/true", "bin/false"},
		}}},
		{Target: "d", Driver: &configv1.TargetDriver_Command{Command: &configv1.CommandDriver{
			Deploy: &configv1.Command{Argv: []string{"/bin/true"}}, Preview: &configv1.Command{Argv: []string{"/bin/sh", "{what}"}},
			RollbackDryRun: &configv1.Command{Argv: []string{"/bin/true"}, Env: map[string]string{"PATH": "x"}},
			MarkerFolder:   "/srv/d", Allow: []string{"/bin/true"},
		}}},
		document("e", "nats://config-0:4222", "limits", "shop"),
		document("f", "nats://config-0:4222", "limits", "shop"),
		document("g", "nats://config-0:4222", "the limits", "shop.>"),
		namespace("k", "kubeconfig", "Shop"),
		infrastructure("t", "/srv/terraform", nil), infrastructure("t2", "/srv/terraform", nil),
		{Target: "t3", Driver: &configv1.TargetDriver_Terraform{Terraform: &configv1.TerraformDriver{
			Folder: "terraform", Binary: "tofu", ProviderFolder: "../providers", Protect: []string{"aws_db_instance", "Not a type"},
			Env:              map[string]string{"TF_CLI_ARGS_apply": "-target=x", "TF_VAR_password": "x", "TF_DATA_DIR": "/tmp", "LD_PRELOAD": "/x.so"},
			PlanCredentials:  []*configv1.TerraformCredential{{Env: "AWS_SECRET_ACCESS_KEY", File: "/run/key"}, {Env: "TF_CLI_CONFIG_FILE", File: "key"}},
			ApplyCredentials: []*configv1.TerraformCredential{{Env: "TF_WORKSPACE", File: "/run/key"}},
			Timeout:          durationpb.New(-time.Second),
		}}},
		good("l"), good("m"), release("hn", "kubeconfig", "Shop", "-"),
		{Target: "g1", Driver: &configv1.TargetDriver_Config{Config: &configv1.ConfigDriver{File: &configv1.ConfigFile{
			Repository: &configv1.GitRepository{Url: "http://git.example/shop.git", Branch: "../main", PasswordFile: "/none"}, Path: "../limits.yaml",
		}}}},
		{Target: "g2", Driver: &configv1.TargetDriver_Config{Config: &configv1.ConfigDriver{}}},
		folder(t, "o", "apps/shop"), folder(t, "o2", "apps/shop"),
		{Target: "o3", Driver: &configv1.TargetDriver_Gitops{Gitops: &configv1.GitopsDriver{
			Repository: &configv1.GitRepository{Url: "git@example.com:shop", Branch: "main..x"}, Path: "../apps", KubeconfigFile: "kubeconfig", Namespace: "Argo",
			Resource: &configv1.GitopsResource{Name: "Shop"}, Timeout: durationpb.New(-time.Second), FailedFor: durationpb.New(-time.Second),
		}}},
		folder(t, "o4", "apps"),
	}, configured.Options{})
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{
		"targets[1].target: n is there already",
		"targets[2]: a driver is required",
		"targets[3].target: required",
		"targets[4].host.folder: must be a clean absolute path",
		"targets[4].host.restart.argv[0]: must be a clean absolute path",
		"targets[4].host.restart.argv[2]: unknown placeholder {artifact}",
		"targets[4].host.restart.env[LD_PRELOAD]: refused",
		"targets[4].host.restart.env[PATH]: refused",
		"targets[4].host.restart.env[A-B]: not a name",
		"targets[4].host.restart.timeout: must be more than nothing",
		"targets[6]: folder /srv/shop is that of target one",
		"targets[7].host.folder: must be",
		"targets[7].host.restart.argv[0]: must be",
		"targets[8].host.restart.argv[0]: must be",
		"targets[9].command.allow[1]: must be a clean absolute path",
		"targets[9].command.deploy.argv[0]: " + link + " leads to",
		"targets[9].command.rollback.env[GIT_SSH_COMMAND]: refused",
		"targets[10].command.preview.argv[1]: unknown placeholder {what}",
		"targets[10].command.rollback_dry_run.env[PATH]: refused",
		"targets[10].command.rollback_dry_run: there is no rollback",
		"targets[12]: entry nats://config-0:4222 $KV.limits.shop is that of target e",
		"targets[13].config.entry.bucket: not a name",
		"targets[13].config.entry.key: not a name",
		"targets[14].kubernetes.kubeconfig_file: must be an absolute path",
		"targets[14].kubernetes.namespace: \"Shop\" is no name",
		"targets[16]: folder /srv/terraform is that of target t",
		"targets[17].terraform.folder: must be a clean absolute path",
		"targets[17].terraform.binary: must be a clean absolute path",
		"targets[17].terraform.provider_folder: must be a clean absolute path",
		"targets[17].terraform.version: required",
		"targets[17].terraform.protect[1]: \"Not a type\" is neither a type nor an address",
		"targets[17].terraform.env[TF_CLI_ARGS_apply]: refused",
		"targets[17].terraform.env[TF_VAR_password]: refused",
		"targets[17].terraform.env[TF_DATA_DIR]: refused",
		"targets[17].terraform.env[LD_PRELOAD]: refused",
		"targets[17].terraform.plan_credentials[1].env: refused",
		"targets[17].terraform.plan_credentials[1].file: must be an absolute path",
		"targets[17].terraform.apply_credentials[0].env: refused",
		"targets[17].terraform.timeout: must be more than nothing",
		"targets[19]: release a of namespace shop is that of target l",
		"targets[20].helm.kubeconfig_file: must be an absolute path",
		"targets[21].config.file.repository.url: invalid: http:// leads to this machine alone",
		"targets[21].config.file.repository.branch: invalid",
		"targets[21].config.file.repository.signing_key_file: required",
		"targets[21].config.file.path: invalid: it leads through ..",
		"targets[22].config.entry: one of entry and file is required",
		"targets[20].helm.namespace: \"Shop\" is no name",
		"targets[20].helm.release: \"-\" is no name",
		"targets[20].helm.secrets[0].value: a.b is that of parameters[0], or a part of it",
		"targets[20].helm.secrets[0].file: must be an absolute path",
		"targets[24]: folder apps/shop of git.example.com/shop/deploy refs/heads/main is that of target o",
		"targets[25].gitops.repository.url: ",
		"targets[25].gitops.repository.branch: ",
		"targets[25].gitops.repository.signing_key_file: required",
		"targets[25].gitops.path: ",
		"targets[25].gitops.kubeconfig_file: must be an absolute path",
		"targets[25].gitops.namespace: \"Argo\" is no name",
		"targets[25].gitops.resource.name: \"Shop\" is no name",
		"targets[25].gitops.resource.kind: ",
		"targets[25].gitops.timeout: must be more than nothing",
		"targets[25].gitops.failed_for: must be more than nothing",
		"targets[26]: folder apps of git.example.com/shop/deploy refs/heads/main has that of target o in it",
	} {
		if !strings.Contains("\n"+err.Error(), "\n"+want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(err.Error(), "GOOD") {
		t.Error("a good variable was refused")
	}
	if t.Failed() {
		t.Logf("got:\n%v", err)
	}
}
