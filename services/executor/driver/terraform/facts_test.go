//go:build terraform

package terraform_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/terraform"
)

// release applies a plan as the first attempt of a release of its own.
func release(t *testing.T, d *terraform.Driver, n uint64, p driver.Plan) (driver.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return d.Apply(ctx, driver.ApplyKey(fmt.Sprintf("shop-%d", n), 0, 1), at(10*n), p)
}

func must(t *testing.T, d *terraform.Driver, n uint64, p driver.Plan) driver.Result {
	t.Helper()
	result, err := release(t, d, n, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, result.Output)
	}
	return result
}

// two are resources of which the second is there when it is asked for.
func two(input string, second bool) string {
	text := fmt.Sprintf("resource \"terraform_data\" \"one\" { input = %q }\n", input)
	if second {
		text += "resource \"terraform_data\" \"two\" { triggers_replace = [1] }\n"
	}
	return text
}

// byHand runs the program as somebody does who goes around Shipwarden, with the same state.
func byHand(t *testing.T, folder, text string, args ...string) error {
	t.Helper()
	here := t.TempDir()
	backend := fmt.Sprintf("terraform {\n  backend \"local\" { path = %q }\n}\n", statePath(folder))
	if err := os.WriteFile(filepath.Join(here, "main.tf"), []byte(backend+text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{{"init", "-input=false"}, args} {
		cmd := exec.CommandContext(t.Context(), binary(), line...)
		cmd.Dir = here
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%q: %w\n%s", line, err, out)
		}
	}
	return nil
}

func diff(t *testing.T, d *terraform.Driver, p driver.Plan) driver.Diff {
	t.Helper()
	said, err := d.Diff(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

func TestASavedPlanThatTheStateHasLeftIsRefused(t *testing.T) {
	folder := t.TempDir()
	must(t, open(t, config(folder), options(nil)), 1, plan(1, two("a", false)))
	d := open(t, config(folder), options(func(point string) {
		if point == terraform.PointBegun {
			if err := byHand(t, folder, two("by hand", false), "apply", "-auto-approve"); err != nil {
				t.Error(err)
			}
		}
	}))
	_, err := release(t, d, 2, plan(2, two("b", false)))
	if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "the state has changed since it was planned") {
		t.Errorf("got %v", err)
	}
	if got := stateOf(t, folder).Resources[0].Instances[0].Attributes["input"]; fmt.Sprint(got) != "map[type:string value:by hand]" {
		t.Errorf("the state has %v", got)
	}
}

func TestWhatIsAppliedIsThePlanAndNotItsSource(t *testing.T) {
	folder := t.TempDir()
	change := func(name, text string) func(string) {
		return func(point string) {
			if point != terraform.PointBegun {
				return
			}
			found, _ := filepath.Glob(filepath.Join(folder, "shop", "work", "run-*", name))
			for _, path := range found {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Error(err)
				}
			}
			if len(found) != 1 {
				t.Errorf("found %q", found)
			}
		}
	}
	must(t, open(t, config(folder), options(change("configuration/main.tf", two("sneaked in", true)))), 1, plan(1, two("a", false)))
	if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one"}) {
		t.Errorf("the state has %q", got)
	}
	_, err := release(t, open(t, config(folder), options(change("shipwarden.tfplan", "another"))), 2, plan(2, two("b", true)))
	if !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), "the file of the plan was sha256:") {
		t.Errorf("another file: %v", err)
	}
	if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one"}) {
		t.Errorf("the state has %q", got)
	}
}

func TestWhatAFailingProvisionerLeftIsMadeAgain(t *testing.T) {
	folder := t.TempDir()
	ready := filepath.Join(folder, "ready")
	text := fmt.Sprintf("resource \"terraform_data\" \"one\" {\n  provisioner \"local-exec\" { command = \"[ -e '%s' ] || exit 3\" }\n}\n", ready)
	d := open(t, config(folder), options(nil))
	p := plan(1, text)
	if _, err := release(t, d, 1, p); err == nil || !strings.Contains(err.Error(), "local-exec provisioner error") {
		t.Fatalf("got %v", err)
	}
	if got := stateOf(t, folder).Resources[0].Instances[0].Status; got != "tainted" {
		t.Errorf("what failed is %q in the state", got)
	}
	if got, err := d.Probe(t.Context(), driver.ApplyKey("shop-1", 0, 1)); got != driver.StatusStarted || err != nil {
		t.Errorf("probe: %s, %v", got, err)
	}
	if got, err := d.Running(t.Context()); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("running %q, %v", got, err)
	}
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, d, 1, p)
	if s := stateOf(t, folder).Resources[0].Instances[0].Status; s != "" {
		t.Errorf("it is %q", s)
	}
	if got, err := d.Running(t.Context()); got != p.Artifact.Digest || err != nil {
		t.Errorf("running %q, %v", got, err)
	}
}

func TestALockOfTheStateThatSomebodyHoldsIsBusyAndNotBroken(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	must(t, d, 1, plan(1, two("a", false)))
	before := stateOf(t, folder)
	file, err := os.OpenFile(statePath(folder), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	// As Terraform itself does it.
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}); err != nil {
		t.Fatal(err)
	}
	p := plan(2, two("b", false))
	if _, err := release(t, d, 2, p); !errors.Is(err, driver.ErrBusy) || !strings.Contains(err.Error(), "somebody else has the lock of the state") {
		t.Errorf("apply: %v", err)
	}
	if got := diff(t, d, p); !strings.Contains(got.Failed, "somebody else has the lock of the state") || !got.Busy {
		t.Errorf("diff: %+v", got)
	}
	if after := stateOf(t, folder); after.Serial != before.Serial {
		t.Errorf("serial %d became %d", before.Serial, after.Serial)
	}
	_ = file.Close()
	must(t, d, 2, p)
}

// slow is a configuration whose provisioner says that it has begun and then does not end.
func slow(folder, what string) string {
	return fmt.Sprintf("resource \"terraform_data\" \"slow\" {\n  provisioner \"local-exec\" { command = \"echo > '%s'; %s\" }\n}\n", filepath.Join(folder, "begun"), what)
}

// begun waits until the provisioner has begun.
func begun(t *testing.T, folder string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if _, err := os.Stat(filepath.Join(folder, "begun")); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the provisioner did not begin")
		}
	}
}

// left are the processes that were started in a folder's runs and are still there.
func left(t *testing.T, folder string) []string {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, path := range found {
		environ, _ := os.ReadFile(path)
		if strings.Contains(string(environ), "SHIPWARDEN_TERRAFORM_RUN="+folder) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			all = append(all, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return all
}

func TestACancelInterruptsAndTheLockIsReleased(t *testing.T) {
	for name, what := range map[string]string{
		"what ends when it is told to": "exec /bin/sleep 600",
		"what does not":                "trap '' INT TERM HUP; (trap '' INT TERM HUP; while :; do /bin/sleep 1; done) & while :; do /bin/sleep 1; done",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			c := config(folder)
			c.Grace = durationpb.New(2 * time.Second)
			d := open(t, c, options(nil))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error, 1)
			go func() {
				_, err := d.Apply(ctx, driver.ApplyKey("shop-1", 0, 1), at(10), plan(1, slow(folder, what)))
				failed <- err
			}()
			begun(t, folder)
			cancel()
			if err := <-failed; err == nil || !strings.Contains(err.Error(), "interrupted") {
				t.Errorf("got %v", err)
			}
			if all := left(t, folder); len(all) > 0 {
				t.Errorf("still there: %q", all)
			}
			must(t, d, 2, plan(2, two("a", false)))
			if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one"}) {
				t.Errorf("the state has %q", got)
			}
		})
	}
}

func TestWhatSomebodyElseChangedIsSeen(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	p := plan(1, two("a", true))
	must(t, d, 1, p)
	calm := diff(t, d, p)
	if !strings.Contains(calm.Last, "0 to create, 0 to update, 0 to replace, 0 to destroy, 0 to forget; plan sha256:") {
		t.Errorf("nothing changed: %+v", calm)
	}
	if err := byHand(t, folder, two("by hand", false), "apply", "-auto-approve"); err != nil {
		t.Fatal(err)
	}
	got := diff(t, d, p)
	for _, want := range []string{"update: terraform_data.one\n  input changes", "create: terraform_data.two\n"} {
		if !strings.Contains(got.Text, want) {
			t.Errorf("it does not say %q:\n%s", want, got.Text)
		}
	}
	lines, before := strings.Split(got.Text, "\n"), strings.Split(calm.Text, "\n")
	if got.Digest() == calm.Digest() || lines[1] == before[1] || !strings.Contains(lines[1], fmt.Sprintf(", serial %d", stateOf(t, folder).Serial)) {
		t.Errorf("it says %q, and said %q", lines[1], before[1])
	}
}

func TestTheWayBackIsThePlanOfThePreviousConfiguration(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	first, second := plan(1, two("a", false)), plan(2, two("b", true))
	must(t, d, 1, first)
	second.Previous, second.PreviousVersion = first.Artifact.Digest, first.Version
	must(t, d, 2, second)
	run, err := d.DryRunRollback(t.Context(), second)
	if err != nil || !run.Possible {
		t.Fatalf("dry run: %+v, %v", run, err)
	}
	for _, want := range []string{"update: terraform_data.one\n  input changes", "destroy: terraform_data.two\n", "0 to create, 1 to update, 0 to replace, 1 to destroy"} {
		if !strings.Contains(run.Steps, want) {
			t.Errorf("it does not say %q:\n%s", want, run.Steps)
		}
	}
	if result, err := d.Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 1), at(20), second); err != nil {
		t.Fatalf("%v\n%s", err, result.Output)
	}
	if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one"}) {
		t.Errorf("the state has %q", got)
	}
	if got, err := d.Running(t.Context()); got != first.Artifact.Digest || err != nil {
		t.Errorf("running %q, %v", got, err)
	}
}

func TestWhatIsProtectedIsNeverTakenAway(t *testing.T) {
	for name, protect := range map[string]string{
		"a type": "terraform_data", "an address": "terraform_data.two", "a pattern": "*.two",
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			first, second := plan(1, two("a", false)), plan(2, two("a", true))
			third := plan(3, two("a", false))
			second.Previous, third.Previous = first.Artifact.Digest, second.Artifact.Digest
			d := open(t, config(folder), options(nil))
			must(t, d, 1, first)
			c := config(folder)
			c.Protect = []string{protect}
			d = open(t, c, options(nil))
			if got := diff(t, d, second); !strings.Contains(got.Text, "no way back: terraform_data.two is protected") {
				t.Errorf("what would be made is shown as %+v", got)
			}
			must(t, d, 2, second)
			const want = "the plan would destroy terraform_data.two: protected"
			if got := diff(t, d, third); !strings.Contains(got.Failed, want) {
				t.Errorf("diff: %+v", got)
			}
			if _, err := release(t, d, 3, third); !errors.Is(err, driver.ErrConflict) || !strings.Contains(err.Error(), want) {
				t.Errorf("apply: %v", err)
			}
			if run, err := d.DryRunRollback(t.Context(), second); err != nil || run.Possible || !strings.Contains(run.Reason, want) {
				t.Errorf("dry run: %+v, %v", run, err)
			}
			if _, err := d.Rollback(t.Context(), driver.RollbackKey("shop-2", 0, 1), at(40), second); !errors.Is(err, driver.ErrConflict) {
				t.Errorf("rollback: %v", err)
			}
			if got := stateOf(t, folder).names(); !slices.Equal(got, []string{"terraform_data.one", "terraform_data.two"}) {
				t.Errorf("the state has %q", got)
			}
		})
	}
}

func TestAProgramThatIsNotThereOrAnotherVersionIsRefused(t *testing.T) {
	folder := t.TempDir()
	for name, test := range map[string]struct {
		change func(*configv1.TerraformDriver)
		want   string
	}{
		"not there":       {func(c *configv1.TerraformDriver) { c.Binary = folder + "/none" }, "binary: invalid: stat " + folder + "/none"},
		"no program":      {func(c *configv1.TerraformDriver) { c.Binary = "/etc/passwd" }, "binary: /etc/passwd is not an executable file"},
		"another version": {func(c *configv1.TerraformDriver) { c.Version = "0.0.1" }, "version: " + binary() + " is version " + version() + ", and the configuration demands 0.0.1"},
		"another program": {func(c *configv1.TerraformDriver) { c.Binary = "/bin/false" }, "binary: /bin/false does not say its version"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(folder)
			test.change(c)
			d, p := open(t, c, options(nil)), plan(1, two("a", false))
			_, previewed := d.Preview(t.Context(), p)
			_, applied := release(t, d, 1, p)
			for what, err := range map[string]error{"start": terraform.CheckTool(c.GetBinary(), c.GetVersion()), "preview": previewed, "apply": applied} {
				if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: %v, want %q", what, err, test.want)
				}
			}
			if got := diff(t, d, p); !strings.Contains(got.Failed, test.want) {
				t.Errorf("diff: %+v", got)
			}
		})
	}
}

func TestNoValueIsShown(t *testing.T) {
	folder := t.TempDir()
	d := open(t, config(folder), options(nil))
	text := func(secret, plain string) string {
		return fmt.Sprintf(`
variable "hidden" {
  type      = string
  sensitive = true
  default   = %q
}
resource "terraform_data" "one" { input = var.hidden }
resource "terraform_data" "two" {
  input = { name = %q }
  provisioner "local-exec" { command = "echo ${self.input.name}" }
}
output "plain" { value = terraform_data.two.input.name }
output "hidden" { 
  value     = var.hidden
  sensitive = true
}
`, secret, plain)
	}
	first := plan(1, text("correct-horse-1", "plainly-1"))
	result := must(t, d, 1, first)
	if said := string(result.Output); !strings.Contains(said, "terraform_data.two: Creation complete after") || !strings.Contains(said, "Apply complete! Resources: 2 added") || strings.Contains(said, "id=") {
		t.Errorf("of what was done is said:\n%s", said)
	}
	second := plan(2, text("correct-horse-2", "plainly-2"))
	second.Previous = first.Artifact.Digest
	said := diff(t, d, second)
	if !strings.Contains(said.Text, "update: terraform_data.one\n  input changes (sensitive)\n") || !strings.Contains(said.Text, "update: output hidden\n") {
		t.Errorf("it does not say what changes:\n%s", said.Text)
	}
	shown, err := d.Preview(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	// What is refused is quoted by Terraform, values and all.
	_, failed := release(t, d, 3, plan(3, text("correct-horse-3", "plainly-3")+`
resource "terraform_data" "three" {
  lifecycle {
    precondition {
      condition     = var.hidden == "plainly-4"
      error_message = "no"
    }
  }
}
`))
	if failed == nil {
		t.Error("it was not refused")
	}
	back, err := d.DryRunRollback(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"diff": said.Text + said.Last, "preview": shown.Summary + shown.Detail, "dry run": back.Steps + back.Reason, "result": result.Message + string(result.Output), "failure": fmt.Sprint(failed),
	} {
		if strings.Contains(text, "correct-horse") || strings.Contains(text, "plainly") {
			t.Errorf("%s shows a value:\n%s", what, text)
		}
	}
}

// TestAPlanOfWhichSomethingCannotBeShownIsNotApproved: what looks like a private key is left out
// with all that comes after it.
func TestAPlanOfWhichSomethingCannotBeShownIsNotApproved(t *testing.T) {
	d := open(t, config(t.TempDir()), options(nil))
	text := "resource \"terraform_data\" \"one\" { for_each = toset([\"-----BEGIN PRIVATE KEY-----\"]) }\nresource \"terraform_data\" \"two\" {}\n"
	if got := diff(t, d, plan(1, text)); got.Digest() != "" || !strings.Contains(got.Failed, "looks like a private key") {
		t.Errorf("got %+v", got)
	}
}
