package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/hashicorp/terraform-exec/tfexec"

	"github.com/blackdice/shipwarden/internal/argv"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	configFile = "TF_CLI_CONFIG_FILE"
	// By these variables is known what Terraform started: in which run, and, where it was started
	// by whoever had the lock, for which target.
	markRun    = "SHIPWARDEN_TERRAFORM_RUN"
	markLocked = "SHIPWARDEN_TERRAFORM_LOCKED"

	// Names of what the driver puts beside the files of an artifact. They win over what the
	// artifact says as the last of their kind; see winner.
	overrideStem  = "zz_shipwarden_override"
	overrideName  = overrideStem + ".tf.json"
	variablesName = "zz_shipwarden.auto.tfvars.json"
	planName      = "shipwarden.tfplan"

	// nowhere is a proxy that is not there: the port is that of discard.
	nowhere = "http://127.0.0.1:9"

	// maxSecret bounds a credential, and maxPlan the JSON form of a plan. What is shorter than
	// minSecret is a word of any text, and is not looked for in one.
	minSecret = 6
	maxSecret = 64 << 10
	maxPlan   = 64 << 20
)

// run is a folder with a configuration in it, and the program that runs there.
type run struct {
	*Driver
	outer, inner string
	tf           *tfexec.Terraform
	// locked says that the caller holds the lock of the target.
	locked bool
	// shut says that the program is to have no way out: a proxy that is not there, which does not
	// count for this machine, and nothing of what the configuration sets, for with a home it asks
	// this machine as well.
	shut bool
}

// open unpacks a configuration into a folder of its own, and puts the target's settings beside
// it. The caller closes it.
func (d *Driver) open(ctx context.Context, content func(ctx context.Context) (*os.File, error), digest, version string) (r *run, err error) {
	if err := errors.Join(d.tool.check(ctx), d.written()); err != nil {
		return nil, err
	}
	// States and plans have secrets in them, and Terraform writes them for everybody to read.
	work := filepath.Join(d.folder, "work")
	for _, folder := range []string{work, filepath.Join(d.folder, "state")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make room to run: %w", err)
		}
	}
	outer, err := os.MkdirTemp(work, "run-")
	if err != nil {
		return nil, fmt.Errorf("make room to run: %w", err)
	}
	r = &run{Driver: d, outer: outer, inner: filepath.Join(outer, "configuration")}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	archive, err := content(ctx)
	if err != nil {
		return r, err
	}
	err = artifact.Extract(archive, r.inner, artifact.DefaultLimits)
	_ = archive.Close()
	if err != nil {
		return r, err
	}
	if r.inner, err = top(r.inner); err != nil {
		return r, err
	}
	if err := winner(r.inner); err != nil {
		return r, err
	}
	if err := r.settle(digest, version); err != nil {
		return r, err
	}
	if r.tf, err = tfexec.NewTerraform(r.inner, d.tool.path); err != nil {
		return r, fmt.Errorf("make room to run: %w", err)
	}
	return r, r.tf.SetWaitDelay(d.grace)
}

func (r *run) close() { _ = os.RemoveAll(r.outer) }

// data is where Terraform keeps what it installs.
func (r *run) data() string { return filepath.Join(r.outer, "data") }

// top is the folder that the configuration lies in: the archive's own, or the one folder in it.
func top(folder string) (string, error) {
	for range 2 {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".tf") || strings.HasSuffix(name, ".tf.json") || strings.HasSuffix(name, ".tofu") {
				return folder, nil
			}
		}
		if len(entries) != 1 || !entries[0].IsDir() {
			break
		}
		folder = filepath.Join(folder, entries[0].Name())
	}
	return "", fmt.Errorf("the artifact has no .tf files at its top: %w", driver.ErrUnsupported)
}

// winner refuses a configuration with a file that would win over one of the driver's: with it an
// artifact would have its state elsewhere, in that of another target among others, or its
// variables otherwise than approvers read. Of overrides, and of files with variables, the last
// one by its name wins; and where OpenTofu finds a file that is called .tofu it does not read the
// one of the same name that is called .tf.
func winner(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		stem := strings.TrimSuffix(name, ".json")
		stem, variables := strings.CutSuffix(stem, ".auto.tfvars")
		stem = strings.TrimSuffix(strings.TrimSuffix(stem, ".tf"), ".tofu")
		override := stem != name && !variables && (stem == "override" || strings.HasSuffix(stem, "_override"))
		if stem == overrideStem || override && name > overrideName || variables && name > variablesName {
			return fmt.Errorf("the artifact's %s would win over what the target's configuration says: %w", name, driver.ErrInvalid)
		}
	}
	return nil
}

// settle writes what the target's configuration says: where the state is, and the variables.
func (r *run) settle(digest, version string) error {
	kind, values := "local", map[string]string{"path": filepath.Join(r.folder, "state", "terraform.tfstate")}
	if b := r.config.GetBackend(); b != nil {
		kind, values = b.GetType(), b.GetSettings()
	}
	if values == nil {
		values = map[string]string{}
	}
	override := map[string]any{"terraform": map[string]any{"backend": map[string]any{kind: values}}}
	variables := map[string]string{}
	known := strings.NewReplacer("{version}", version, "{digest}", digest, "{target}", r.target)
	for name, value := range r.config.GetVariables() {
		variables[name] = known.Replace(value)
	}
	for name, content := range map[string]any{overrideName: override, variablesName: variables} {
		data, err := json.Marshal(content)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		// A file of the artifact that has the name would be one that knows of it.
		file, err := os.OpenFile(filepath.Join(r.inner, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("write %s: %w: %w", name, driver.ErrInvalid, err)
		}
		_, err = file.Write(data)
		if err = errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// settings writes a file of settings of the program's own and returns its path: whatever lies
// in somebody's home counts for nothing. Providers come from the folder and from nowhere else.
func settings(folder, providers string) (string, error) {
	if providers == "" {
		providers = filepath.Join(folder, "none")
		if err := os.MkdirAll(providers, 0o700); err != nil {
			return "", err
		}
	}
	quoted, err := json.Marshal(providers)
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "settings.tfrc")
	text := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %s\n  }\n}\n", quoted)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// environ is the whole environment of one run.
func (r *run) environ(credentials ...*configv1.TerraformCredential) (map[string]string, error) {
	rc, err := settings(r.outer, r.config.GetProviderFolder())
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	if !r.shut {
		maps.Copy(env, r.config.GetEnv())
	}
	for _, c := range credentials {
		secret, err := os.ReadFile(c.GetFile())
		if err == nil && len(secret) > maxSecret {
			err = fmt.Errorf("%s: more than %d bytes", c.GetFile(), maxSecret)
		}
		if err != nil {
			return nil, fmt.Errorf("credential %s: %w", c.GetEnv(), err)
		}
		env[c.GetEnv()] = strings.TrimRight(string(secret), "\r\n")
	}
	env[configFile], env[markRun], env["CHECKPOINT_DISABLE"] = rc, r.outer, "1"
	env["TF_DATA_DIR"] = r.data()
	if r.locked {
		env[markLocked] = r.folder
	}
	if r.shut {
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
			env[name] = nowhere
		}
		env["NO_PROXY"], env["no_proxy"] = "", ""
	}
	return env, nil
}

// do runs the program once with the credentials that it needs, and no longer than the call may
// take: at its end it is interrupted, and after the grace all that it started is killed.
func (r *run) do(ctx context.Context, what string, printed io.Writer, call func(ctx context.Context) error, credentials ...*configv1.TerraformCredential) error {
	env, err := r.environ(credentials...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := r.tf.SetEnv(env); err != nil {
		return fmt.Errorf("%s: %w: %w", what, driver.ErrInvalid, err)
	}
	limit := r.timeout
	if left, ok := driver.Left(ctx, time.Now()); ok {
		// So that it has ended by the caller's deadline, when somebody else may come.
		limit = min(limit, left-r.grace)
	}
	if limit <= 0 {
		return fmt.Errorf("%s: %w", what, driver.ErrNoTime)
	}
	inner, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %s", limit.Round(time.Second)))
	defer cancel()
	complained := argv.NewCollector()
	r.tf.SetStdout(printed)
	r.tf.SetStderr(complained)
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.watch(inner, ended)
	}()
	err = still(func() error { return call(inner) })
	close(ended)
	<-watched
	switch {
	case err == nil:
		return nil
	case inner.Err() != nil:
		return fmt.Errorf("%s: interrupted: %w", what, context.Cause(inner))
	}
	// A provider may quote anything in a title, a credential or what looks like one among it.
	text := string(complained.Output().Text) + "\n" + string(argv.Cut([]byte(err.Error())).Text)
	for _, c := range credentials {
		if secret := env[c.GetEnv()]; len(secret) >= minSecret {
			text = strings.ReplaceAll(text, secret, "[credential "+c.GetEnv()+"]")
		}
	}
	return say(what, text)
}

// watch kills what is left of a run when its time and its grace are over. Terraform alone would
// not be enough: a program that a provisioner started holds its output open.
func (r *run) watch(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	timer := time.NewTimer(r.grace)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	sweep(markRun + "=" + r.outer)
}

// still keeps the thread that starts the program until it has ended: the program dies with its
// parent, which for the system is the thread.
func still(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}
