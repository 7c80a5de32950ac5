//go:build terraform

package terraform_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/terraform"
)

func TestAnotherPlanThanWasApprovedIsNotApplied(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	must(t, d, 1, plan(1, two("a", false)))
	p := plan(2, two("b", false))
	p.Approved = diff(t, d, p).Digest()
	if err := byHand(t, folder, two("by hand", true), "apply", "-auto-approve"); err != nil {
		t.Fatal(err)
	}
	if _, err := release(t, d, 2, p); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "and people approved "+p.Approved) {
		t.Errorf("got %v", err)
	}
	if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one", "terraform_data.two"}) {
		t.Errorf("the state has %q", got)
	}
	p.Approved = diff(t, d, p).Digest()
	must(t, d, 2, p)
	if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one"}) {
		t.Errorf("the state has %q", got)
	}
}

// TestWhatWasApprovedIsDoneOnce: who comes again when others have been there asks again.
func TestWhatWasApprovedIsDoneOnce(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	must(t, d, 1, plan(1, two("a", false)))
	second, third := plan(2, two("b", false)), plan(3, two("c", false))
	second.Approved = diff(t, d, second).Digest()
	must(t, d, 2, second)
	must(t, d, 3, third)
	_, err := d.Apply(t.Context(), driver.ApplyKey("shop-2", 0, 2), at(40), second)
	if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "and people approved "+second.Approved) {
		t.Errorf("got %v", err)
	}
	if got := stateOf(t, folder).Resources[0].Instances[0].Attributes["input"]; fmt.Sprint(got) != "map[type:string value:c]" {
		t.Errorf("the state has %v", got)
	}
}

// killed makes a call in an executor that is killed while Terraform applies.
func killed(t *testing.T, folder string, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "main.tf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable)
	cmd.Env = append(os.Environ(), middleEnv+"="+folder)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begun(t, folder)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// partly is two resources, of which the second is made after the first and takes its time until
// somebody says that it may end.
func partly(folder, more string) string {
	return fmt.Sprintf(`
resource "terraform_data" "first" { input = "one" }
resource "terraform_data" "second" {
  input = terraform_data.first.id
  provisioner "local-exec" { command = "echo > '%[1]s/begun'; while [ ! -e '%[1]s/end' ]; do /bin/sleep 0.05; done" }
}
%[2]s`, folder, more)
}

func TestWhatWasKilledInTheMiddleIsCompletedUnderTheSameKey(t *testing.T) {
	folder := t.TempDir()
	text := partly(folder, "")
	killed(t, folder, text)
	d := open(t, config(folder), options(nil))
	if got, err := d.Probe(t.Context(), driver.ApplyKey("shop-1", 0, 1)); got != driver.StatusStarted || err != nil {
		t.Errorf("probe: %s, %v", got, err)
	}
	// Terraform writes the state as it goes. OpenTofu does so now and then, so that what it has
	// just made may be in no state, and is made again.
	if got := stateOf(t, folder).names(); !slices.Contains(got, "terraform_data.first") && !strings.Contains(said(), "OpenTofu") {
		t.Errorf("the state has %q: nothing was half done", got)
	}
	if err := os.WriteFile(filepath.Join(folder, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, d, 1, plan(1, text))
	if all := left(t, folder); len(all) > 0 {
		t.Errorf("of the one that was killed there is still: %q", all)
	}
	s := stateOf(t, folder)
	if !slices.Equal(s.names(), []string{"terraform_data.first", "terraform_data.second"}) || s.Resources[1].Instances[0].Status != "" {
		t.Errorf("the state has %+v", s.Resources)
	}
	if got, err := d.Probe(t.Context(), driver.ApplyKey("shop-1", 0, 1)); got != driver.StatusDone || err != nil {
		t.Errorf("probe: %s, %v", got, err)
	}
}

func TestWhatWasKilledAndNeedsMoreThanWasApprovedStops(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	must(t, d, 9, plan(9, two("a", false)))
	text := partly(folder, two("a", false))
	killed(t, folder, text)
	if err := os.WriteFile(filepath.Join(folder, "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := byHand(t, folder, partly(folder, two("by hand", false)), "apply", "-auto-approve", "-target=terraform_data.one"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Apply(t.Context(), driver.ApplyKey("shop-10", 0, 1), at(100), plan(1, text))
	if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "update terraform_data.one: not a part of what was approved") {
		t.Errorf("got %v", err)
	}
}

// wrapped is a program that writes down its arguments and its environment and becomes the real
// one.
func wrapped(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(folder, "wrapped")
	text := fmt.Sprintf("#!/bin/sh\nfor a in \"$@\"; do printf '%%s\\n' \"$a\"; done >> '%[1]s/argv'; echo >> '%[1]s/argv'\nexport -p > '%[1]s/env-'$1\nexec '%[2]s' \"$@\"\n", folder, binary())
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheArgumentVectorIsExact(t *testing.T) {
	folder := t.TempDir()
	c := config(folder)
	c.Binary = wrapped(t, folder)
	c.Variables = map[string]string{"release": "{version}", "other": "-destroy"}
	p := plan(1, "variable \"other\" {}\n"+two("a", false)+"variable \"release\" {}\noutput \"release\" { value = var.release }\n")
	// What a release is called is data, whatever it looks like.
	p.Version = "-destroy"
	must(t, open(t, c, options(nil)), 1, p)
	text, err := os.ReadFile(filepath.Join(folder, "argv"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for call := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		got = append(got, strings.ReplaceAll(call, "\n", " "))
	}
	for i, line := range got {
		// Where it ran is by chance.
		for _, word := range strings.Fields(line) {
			if name, path, ok := strings.Cut(word, "="); ok && strings.HasPrefix(path, folder) {
				line = strings.ReplaceAll(line, word, name+"=RUN/"+filepath.Base(path))
			} else if strings.HasPrefix(word, folder) {
				line = strings.ReplaceAll(line, word, "RUN/"+filepath.Base(word))
			}
		}
		got[i] = line
	}
	want := []string{
		"get -no-color -update=false",
		"init -no-color -input=false -backend=true -get=true -upgrade=false",
		"plan -no-color -input=false -detailed-exitcode -lock-timeout=2s -out=RUN/shipwarden.tfplan -lock=true -parallelism=10 -refresh=true",
		"show -json -no-color RUN/shipwarden.tfplan",
		"apply -no-color -auto-approve -input=false -lock-timeout=2s -lock=true -parallelism=10 -refresh=true RUN/shipwarden.tfplan",
		"state pull",
	}
	// The library asks for the version as often as it likes.
	got = slices.DeleteFunc(got, func(line string) bool { return line == "version -json" })
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var outputs struct {
		Outputs map[string]struct{ Value string }
	}
	data, err := os.ReadFile(statePath(folder))
	if err == nil {
		err = json.Unmarshal(data, &outputs)
	}
	if err != nil || outputs.Outputs["release"].Value != "-destroy" {
		t.Errorf("the release is %+v, %v", outputs, err)
	}
}

func TestTheEnvironmentIsWhatTheConfigurationSaysAndSecretsComeWhenTheyAreNeeded(t *testing.T) {
	t.Setenv("SHOP_OF_THE_EXECUTOR", "inherited")
	t.Setenv("TF_LOG", "trace")
	folder := t.TempDir()
	c := config(folder)
	c.Binary = wrapped(t, folder)
	c.Env = map[string]string{"SHOP_REGION": "eu-1"}
	for name, secret := range map[string]string{"read": "may read\n", "write": "may write\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.PlanCredentials = []*configv1.TerraformCredential{{Env: "SHOP_KEY", File: filepath.Join(folder, "read")}}
	c.ApplyCredentials = []*configv1.TerraformCredential{{Env: "SHOP_KEY", File: filepath.Join(folder, "write")}}
	d := open(t, c, options(func(point string) {
		if _, err := os.Stat(filepath.Join(folder, "env-apply")); err == nil && point != terraform.PointApplied && point != terraform.PointCounted && point != terraform.PointDone {
			t.Errorf("it was applied before %s", point)
		}
	}))
	p := plan(1, two("a", false))
	diff(t, d, p)
	must(t, d, 1, p)
	// Whoever looks for what was changed by hand has what he plans with as well, and no more.
	inspects(t, d, "as it was placed")
	for command, secret := range map[string]string{"get": "", "validate": "", "init": "may read", "plan": "may read", "show": "may read", "state": "may read", "apply": "may write"} {
		text, err := os.ReadFile(filepath.Join(folder, "env-"+command))
		if err != nil {
			t.Fatal(err)
		}
		env := string(text)
		if has := strings.Contains(env, "SHOP_KEY='"+secret+"'"); has != (secret != "") || secret == "" && strings.Contains(env, "SHOP_KEY") {
			t.Errorf("%s: secret %q: %t", command, secret, has)
		}
		for what, want := range map[string]bool{
			"SHOP_REGION='eu-1'": command != "get", "TF_CLI_CONFIG_FILE='" + folder: true, "TF_IN_AUTOMATION='1'": true, "CHECKPOINT_DISABLE='1'": true, "HTTPS_PROXY='http://127.0.0.1:9'": command == "get", "http_proxy='http://127.0.0.1:9'": command == "get",
			"inherited": false, "trace": false, "HOME": false,
		} {
			if strings.Contains(env, what) != want {
				t.Errorf("%s: %q is there: %t\n%s", command, what, !want, env)
			}
		}
	}
	if files, _ := filepath.Glob(filepath.Join(folder, "shop", "work", "*")); len(files) > 0 {
		t.Errorf("left behind: %q", files)
	}
}

func TestWhatIsNotInTheArtifactIsNotFetched(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a provider": {map[string]string{"main.tf": "terraform {\n  required_providers {\n    x = { source = \"example.test/own/x\" }\n  }\n}\nresource \"x_file\" \"one\" {}\n"}, "init: terraform failed"},
		"a module":   {map[string]string{"main.tf": "module \"x\" { source = \"https://127.0.0.1:1/x.zip\" }\n"}, "init: terraform failed"},
		"no files":   {map[string]string{"README": "nothing"}, "the artifact has no .tf files at its top"},
		"our names":  {map[string]string{"main.tf": "", "zz_shipwarden_override.tf.json": "{}"}, "zz_shipwarden_override.tf.json would win"},
		"nonsense":   {map[string]string{"main.tf": "resource \"terraform_data\" {"}, "init: terraform failed"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := diff(t, d, planOf(1, test.files)); !strings.Contains(got.Failed, test.want) {
				t.Errorf("got %+v, want %q", got, test.want)
			}
		})
	}
}

// TestNobodyIsAskedForAModule: not even this machine, to which no proxy leads, and by none of the ways
// that Terraform knows to fetch one.
func TestNobodyIsAskedForAModule(t *testing.T) {
	folder := t.TempDir()
	ran := filepath.Join(folder, "ran")
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked for %s", r.URL)
	}))
	defer server.Close()
	c := config(folder)
	c.Env = map[string]string{"HOME": folder, "NETRC": filepath.Join(folder, "netrc")}
	d := open(t, c, options(nil))
	for _, source := range []string{
		server.URL + "/x.zip", server.URL + "//sub?archive=zip", "git::" + server.URL + "/x.git?ref=--upload-pack=" + ran, "git::file://" + folder,
		"git::ext::sh -c 'touch " + ran + "'", "git::ssh://-oProxyCommand=touch " + ran + "/x", "hg::" + server.URL + "/x", "s3::" + server.URL + "/b/x.zip",
		"gcs::" + server.URL + "/b/x.zip", "file://" + folder, folder, "../../elsewhere",
	} {
		t.Run(source, func(t *testing.T) {
			got := diff(t, d, planOf(1, map[string]string{"main.tf": fmt.Sprintf("module \"x\" { source = %q }\n", source)}))
			if !strings.HasPrefix(got.Failed, "init: ") {
				t.Errorf("got %+v", got)
			}
		})
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something ran: %v", err)
	}
}

func TestWhereTheStateIsSaysTheConfigurationAndNotTheArtifact(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	elsewhere := filepath.Join(folder, "elsewhere.tfstate")
	files := map[string]string{
		"shop/main.tf":       fmt.Sprintf("terraform {\n  backend \"local\" { path = %q }\n}\nmodule \"one\" { source = \"./one\" }\n", elsewhere),
		"shop/one/main.tf":   two("a", false),
		"shop/z_override.tf": fmt.Sprintf("terraform {\n  backend \"local\" { path = %q }\n}\n", elsewhere),
	}
	must(t, d, 1, planOf(1, files))
	if _, err := os.Stat(elsewhere); err == nil {
		t.Error("the state is where the artifact says")
	}
	if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one"}) {
		t.Errorf("the state has %q", got)
	}
}

// TestAFileOfTheArtifactThatWouldWinIsRefused: with one an artifact would work on the state of
// another target, or with other variables than approvers read.
func TestAFileOfTheArtifactThatWouldWinIsRefused(t *testing.T) {
	folder := t.TempDir()
	c := config(folder)
	c.Variables = map[string]string{"input": "the target's"}
	d := open(t, c, options(nil))
	elsewhere := fmt.Sprintf(`{"terraform": {"backend": {"local": {"path": %q}}}}`, filepath.Join(folder, "elsewhere.tfstate"))
	n := uint64(0)
	for name, text := range map[string]string{
		"zzz_override.tf.json":             elsewhere,
		"zz_shipwarden_override.tofu.json": elsewhere,
		"zz_shipwarden_p_override.tf":      "",
		"zzz.auto.tfvars":                  `input = "the artifact's"`,
		"zz_shipwarden_2.auto.tfvars.json": `{"input": "the artifact's"}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := planOf(1, map[string]string{"main.tf": "variable \"input\" {}\nresource \"terraform_data\" \"one\" { input = var.input }\n", name: text})
			const want = "would win over what the target's configuration says"
			if got := diff(t, d, p); !strings.Contains(got.Failed, name+" "+want) {
				t.Errorf("diff: %+v", got)
			}
			n++
			if _, err := release(t, d, n, p); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("apply: %v", err)
			}
			if _, err := os.Stat(filepath.Join(folder, "elsewhere.tfstate")); err == nil {
				t.Error("the state is where the artifact says")
			}
		})
	}
	p := planOf(2, map[string]string{
		"main.tf": "variable \"input\" {}\nresource \"terraform_data\" \"one\" { input = \"?\" }\n", "override.tf": "resource \"terraform_data\" \"one\" { input = var.input }\n",
		"terraform.tfvars": `input = "the artifact's"`, "a.auto.tfvars": `input = "the artifact's"`,
	})
	must(t, d, n+1, p)
	if got := stateOf(t, folder).Resources[0].Instances[0].Attributes["input"]; fmt.Sprint(got) != "map[type:string value:the target's]" {
		t.Errorf("the state has %v", got)
	}
}
