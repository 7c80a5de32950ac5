package command_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/argv"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/command"
)

// asking is a driver whose preview and whose dry run of the way back are scripts, each of
// which may take that long; "" for none.
func asking(t *testing.T, bound time.Duration, preview, back string) *command.Driver {
	t.Helper()
	nothing := script(t, "exit 9")
	c := &configv1.CommandDriver{
		Deploy: &configv1.Command{Argv: []string{nothing}}, Rollback: &configv1.Command{Argv: []string{nothing}},
		MarkerFolder: filepath.Join(t.TempDir(), "markers"), Allow: []string{nothing},
	}
	for text, field := range map[string]**configv1.Command{"preview": &c.Preview, "dry run": &c.RollbackDryRun} {
		body := preview
		if text == "dry run" {
			body = back
		}
		if body == "" {
			continue
		}
		path := script(t, body)
		c.Allow = append(c.Allow, path)
		*field = &configv1.Command{
			Argv: []string{path, "{target}", "{version}", "{digest}", "{param.region}"}, Env: map[string]string{"KEPT": "as configured"}, Timeout: durationpb.New(bound),
		}
	}
	d, err := command.New(c, command.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// onwards is a plan from version 1 to version 2.
func onwards() driver.Plan {
	p := plan("", 2)
	p.Previous, p.PreviousVersion = plan("", 1).Artifact.Digest, "1.0.0"
	p.Parameters = map[string]string{"region": "eu"}
	return p
}

const long = 20 * time.Second

func TestThePreviewCommandIsAskedWhatWouldChange(t *testing.T) {
	t.Setenv("INHERITED", "no")
	d := asking(t, long, `echo "$1 $2 $4 $KEPT [$INHERITED] $PWD"; echo password=hunter2hunter2; echo "3 to change" >&2`, "")
	got, err := d.Diff(t.Context(), onwards())
	if err != nil || !got.Asked || got.Failed != "" || got.LeftOut || got.Last != "3 to change" {
		t.Fatalf("%+v, %v", got, err)
	}
	if !strings.HasPrefix(got.Text, "shop-1 2.0.0 eu as configured [] /\n") || strings.Contains(got.Text, "hunter2") || !strings.Contains(got.Text, "redacted") {
		t.Errorf("it says %q", got.Text)
	}
	if seen, err := d.Preview(t.Context(), onwards()); err != nil || seen.Bound != argv.DefaultTimeout {
		t.Errorf("the preview itself: %+v, %v", seen, err)
	}
	if got, err := asking(t, long, "", "").Diff(t.Context(), onwards()); err != nil || got != (driver.Diff{}) {
		t.Errorf("where none is configured: %+v, %v", got, err)
	}
}

// TestAPreviewCommandThatGivesNoAnswer: by its status, in time, at all.
func TestAPreviewCommandThatGivesNoAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		bound     time.Duration
		body, why string
	}{
		"it fails":                     {long, "echo token=hunter2hunter2 >&2; exit 3", "exit status 3: command failed: token=[redacted"},
		"it does not end":              {3 * time.Second, "echo begun; exec /bin/sleep 60", "not done after 3s"},
		"what it started does not end": {200 * time.Millisecond, "/bin/sleep 60 & wait", "not done after 200ms"},
		"it is killed":                 {long, "kill -9 $$", "command killed"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := asking(t, test.bound, test.body, "").Diff(t.Context(), onwards())
			if err != nil || !got.Asked || !strings.Contains(got.Failed, test.why) || strings.Contains(got.Failed, "hunter2") {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	d := asking(t, long, "exec /bin/sleep 60", "exec /bin/sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := d.Diff(ctx, onwards()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is over: %+v, %v", got, err)
	}
	if got, err := d.DryRunRollback(ctx, onwards()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time is over: %+v, %v", got, err)
	}
	p := onwards()
	p.Parameters = map[string]string{"region": "--all"}
	if got, err := d.Diff(t.Context(), p); !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), "{param.region}") {
		t.Errorf("a parameter that would be an option: %+v, %v", got, err)
	}
}

func TestAPreviewThatIsHugeIsCutAndStillCompared(t *testing.T) {
	line := strings.Repeat("x", 1<<10)
	body := "i=0; while [ $i -lt 1100 ]; do echo " + line + "; [ $i -eq 540 ] && echo $4; i=$((i+1)); done"
	d := asking(t, long, body, "")
	got, err := d.Diff(t.Context(), onwards())
	if err != nil || got.Failed != "" || !got.LeftOut || len(got.Text) > argv.MaxOutput+256 || !strings.Contains(got.Text, "bytes left out") {
		t.Fatalf("%d bytes, left out %t, %q, %v", len(got.Text), got.LeftOut, got.Failed, err)
	}
	p := onwards()
	p.Parameters = map[string]string{"region": "us"} // It is printed where nobody sees it.
	if other, err := d.Diff(t.Context(), p); err != nil || other.Text == got.Text || strings.Contains(other.Text, "\nus\n") {
		t.Errorf("what was left out is another, and the text says the same; %v", err)
	}
}

func TestTheDryRunOfTheWayBackDecides(t *testing.T) {
	for name, test := range map[string]struct {
		bound        time.Duration
		body, reason string
		possible     bool
		output       string
	}{
		"it goes through":     {long, `echo "$1 could carry $2 again"`, "went through", true, "shop-1 could carry 1.0.0 again"},
		"it says no":          {long, "echo no room for two versions; exit 1", "says no: ", false, "no room for two versions"},
		"it does not end":     {3 * time.Second, "echo begun; exec /bin/sleep 60", "not done after 3s", false, "begun"},
		"it tells of secrets": {long, "echo password=hunter2hunter2; exit 1", "password=[redacted", false, "password=[redacted"},
	} {
		t.Run(name, func(t *testing.T) {
			d := asking(t, test.bound, "", test.body)
			got, err := d.DryRunRollback(t.Context(), onwards())
			if err != nil || got.Possible != test.possible || !strings.Contains(got.Reason, test.reason) || !strings.Contains(got.Output, test.output) ||
				(got.Steps != "") != test.possible || strings.Contains(got.Reason+got.Output, "hunter2") {
				t.Errorf("%+v, %v", got, err)
			}
			if seen, err := d.Preview(t.Context(), onwards()); err != nil || seen.RollbackReady != test.possible || seen.RollbackReason != got.Reason {
				t.Errorf("the preview says %+v, %v", seen, err)
			}
		})
	}
	if got, err := asking(t, long, "", "exit 0").DryRunRollback(t.Context(), plan("", 2)); err != nil || got.Possible || got.Output != "" {
		t.Errorf("nothing was there before: %+v, %v", got, err)
	}
	p := onwards()
	p.Parameters = nil
	if got, err := asking(t, long, "", "exit 0").DryRunRollback(t.Context(), p); err != nil || got.Possible || !strings.Contains(got.Reason, "{param.region}") {
		t.Errorf("without the parameter: %+v, %v", got, err)
	}
}

func TestAToolThatIsSwappedIsNotAsked(t *testing.T) {
	program := script(t, "echo asked")
	other := script(t, "echo > "+filepath.Join(t.TempDir(), "ran"))
	link := filepath.Join(t.TempDir(), "tool")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	run := &configv1.Command{Argv: []string{link}}
	made, err := command.New(&configv1.CommandDriver{
		Deploy: run, Rollback: &configv1.Command{Argv: []string{program}}, Preview: run, RollbackDryRun: run, MarkerFolder: "/srv/c", Allow: []string{program},
	}, command.Options{Target: "shop-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(link), os.Symlink(other, link)); err != nil {
		t.Fatal(err)
	}
	if got, err := made.Diff(t.Context(), onwards()); err != nil || !strings.Contains(got.Failed, "not allowed") {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := made.DryRunRollback(t.Context(), onwards()); err != nil || got.Possible || !strings.Contains(got.Reason, "not allowed") {
		t.Errorf("%+v, %v", got, err)
	}
}
