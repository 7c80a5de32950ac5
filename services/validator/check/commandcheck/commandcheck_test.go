package commandcheck_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/commandcheck"
)

const roleEnv = "SHIPWARDEN_CHECK_ROLE"

// The programs that are run are this test binary, as whatever role says.
func TestMain(m *testing.M) {
	role, argument, _ := strings.Cut(os.Getenv(roleEnv), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "exit":
		fmt.Fprintln(os.Stdout, "looked\n3 orders are stuck, password=hunter2hunter2")
		status, err := strconv.Atoi(argument)
		if err != nil {
			panic(err)
		}
		os.Exit(status)
	case "show":
		fmt.Fprintf(os.Stdout, "%q %q", os.Args[1:], os.Environ())
	case "flood":
		fmt.Fprintln(os.Stdout, "first line")
		for range 1 << 10 {
			fmt.Fprint(os.Stdout, strings.Repeat("\x1b\"", 512))
		}
		fmt.Fprintln(os.Stdout, "\nlast line")
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "hang":
		<-time.After(time.Minute)
	case "leave":
		// A child in the same group that holds no output of ours, and outlives us.
		path, err := os.Executable()
		if err != nil {
			panic(err)
		}
		child := exec.Command(path)
		child.Env = []string{roleEnv + "=hang"}
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprint(os.Stdout, child.Process.Pid)
	}
	os.Exit(0)
}

// program is a copy of this binary, which nobody else has.
func program(t *testing.T) (path, sum string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "look")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	of := sha256.Sum256(content)
	return path, hex.EncodeToString(of[:])
}

// listed is a configured command of a role, by the name look, whose status 2 is a failure.
func listed(path, role string, arguments ...string) *configv1.CheckCommand {
	return &configv1.CheckCommand{
		Name: "look", FailStatus: 2,
		Run: &configv1.Command{Argv: append([]string{path}, arguments...), Env: map[string]string{roleEnv: role}, Timeout: durationpb.New(time.Minute)},
	}
}

// calls is a check that has the command run.
func calls(timeout time.Duration, arguments map[string]string) *releasev1.Check {
	p := &releasev1.CommandProbe{Command: "look", Arguments: arguments}
	if timeout > 0 {
		p.Timeout = durationpb.New(timeout)
	}
	return &releasev1.Check{Name: "looks", Probe: &releasev1.Check_Command{Command: p}}
}

var names = criterion.Names{Target: "eu1", Service: "shop", Environment: "production", Digest: "sha256:ab"}

func probe(t *testing.T, c *configv1.CheckCommand, of *releasev1.Check) check.Observation {
	t.Helper()
	commands, err := commandcheck.Open([]*configv1.CheckCommand{c})
	if err != nil {
		t.Fatal(err)
	}
	seen := commandcheck.Prober{Commands: commands}.ProbeNamed(t.Context(), nil, of, names)
	if again := check.JudgeRan(seen.Ran); again.Outcome != seen.Outcome || again.Detail != seen.Detail {
		t.Errorf("derived again: %v (%s), before %v (%s)", again.Outcome, again.Detail, seen.Outcome, seen.Detail)
	}
	if strings.Contains(seen.Detail+seen.Ran.Said+seen.Ran.Why, "hunter2") {
		t.Errorf("it tells a secret: %+v", seen.Ran)
	}
	return seen
}

// TestOnlyAProgramThatEndsAsListedSaysAnything has programs end in every way that there is.
func TestOnlyAProgramThatEndsAsListedSaysAnything(t *testing.T) {
	path, sum := program(t)
	for _, test := range []struct {
		name string
		of   *configv1.CheckCommand
		want check.Outcome
		says string
	}{
		{"all is well", listed(path, "exit 0"), check.Passed, "status 0: 3 orders are stuck, password=[redacted"},
		{"it is not", listed(path, "exit 2"), check.Failed, "status 2: 3 orders are stuck"},
		{"another status", listed(path, "exit 1"), check.Error, "status 1, which says nothing: 0 is a pass, 2 a failure"},
		{"a status of shells", listed(path, "exit 127"), check.Error, "status 127, which says nothing"},
		{"killed by somebody", listed(path, "kill"), check.Error, "killed: look: command killed: signal: killed"},
		{"too slow for the check", listed(path, "hang"), check.Error, "killed: look: command killed: not done after 200ms"},
		{"not there", listed(path+"-gone", "exit 0"), check.Error, "not started: lstat"},
		{"a folder", listed(filepath.Dir(path), "exit 0"), check.Error, "is not an executable file"},
		{"the file that was listed", func() *configv1.CheckCommand { c := listed(path, "exit 0"); c.Sha256 = sum; return c }(), check.Passed, "status 0"},
		{"another file than was listed", func() *configv1.CheckCommand {
			c := listed(path, "exit 0")
			c.Sha256 = strings.Repeat("0", 64)
			return c
		}(), check.Error, "is not the file that was listed, its SHA-256 is " + sum},
	} {
		t.Run(test.name, func(t *testing.T) {
			timeout := 30 * time.Second
			if strings.Contains(test.says, "200ms") {
				timeout = 200 * time.Millisecond
			}
			seen := probe(t, test.of, calls(timeout, nil))
			if seen.Outcome != test.want || !strings.Contains(seen.Detail, test.says) {
				t.Errorf("%v (%s), want %v (%s)", seen.Outcome, seen.Detail, test.want, test.says)
			}
			if seen.Ran.Ended == check.EndedByItself && seen.Ran.Digest != "sha256:"+sum {
				t.Errorf("what was run is %q, want %s", seen.Ran.Digest, sum)
			}
		})
	}
	short := listed(path, "hang")
	short.Run.Timeout = durationpb.New(100 * time.Millisecond)
	if seen := probe(t, short, calls(30*time.Second, nil)); seen.Outcome != check.Error || !strings.Contains(seen.Detail, "not done after 100ms") {
		t.Errorf("too slow for the configuration: %v (%s)", seen.Outcome, seen.Detail)
	}
}

// TestAProgramGetsWhatIsListedAndNothingElse: nothing is inherited, and a value of a check is one
// argument, whatever a shell would make of it.
func TestAProgramGetsWhatIsListedAndNothingElse(t *testing.T) {
	t.Setenv("SHIPWARDEN_LEAKED", "from the validator")
	path, _ := program(t)
	c := listed(path, "show", "{target}/{service}/{environment}/{digest}", "--of={param.of}", "--", "{param.what}")
	c.Arguments = []*configv1.CheckArgument{{Name: "of", Values: []string{"north", "south"}}, {Name: "what", Matches: `[a-z;$() {}.-]+`}}
	hostile := "-x; $(rm -rf .) {target}"
	seen := probe(t, c, calls(30*time.Second, map[string]string{"of": "south", "what": hostile}))
	want := strings.ReplaceAll(fmt.Sprintf("%q %q", []string{"eu1/shop/production/sha256:ab", "--of=south", "--", hostile}, []string{roleEnv + "=show"}), `"`, "'")
	if seen.Outcome != check.Passed || seen.Ran.Said != want {
		t.Errorf("%v (%s): it got %s, want %s", seen.Outcome, seen.Detail, seen.Ran.Said, want)
	}
	for name, arguments := range map[string]map[string]string{
		`look does not allow "west" for the argument of`:  {"of": "west", "what": "x"},
		`look does not allow "X" for the argument what`:   {"of": "north", "what": "X"},
		`look does not allow "x\n" for the argument what`: {"of": "north", "what": "x\n"},
		"look needs the argument what":                    {"of": "north"},
		"look has no argument more":                       {"of": "north", "what": "x", "more": "x"},
	} {
		commands, err := commandcheck.Open([]*configv1.CheckCommand{c})
		if err != nil {
			t.Fatal(err)
		}
		of := calls(0, arguments)
		if err := commands.Refuses(of.GetCommand()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v: %v, want %s", arguments, err, name)
		}
		if seen := (commandcheck.Prober{Commands: commands}).ProbeNamed(t.Context(), nil, of, names); seen.Outcome != check.Error || seen.Ran.Ended != check.EndedNever || seen.Ran.Program != "" {
			t.Errorf("%v: %v (%s)", arguments, seen.Outcome, seen.Detail)
		}
	}
	if err := (commandcheck.Commands{}).Refuses(calls(0, nil).GetCommand()); err == nil || !strings.Contains(err.Error(), `no command "look" is listed`) {
		t.Errorf("of no list: %v", err)
	}
}

// TestWhatAProgramSaysIsCut: the evidence of a bake stays a document of known size.
func TestWhatAProgramSaysIsCut(t *testing.T) {
	path, _ := program(t)
	seen := probe(t, listed(path, "flood"), calls(30*time.Second, nil))
	said := seen.Ran.Said
	if seen.Outcome != check.Passed || len(said) > check.MaxSaid || !strings.HasPrefix(said, "first line\n") || !strings.HasSuffix(said, "\nlast line") || seen.Ran.Bytes < 1<<20 {
		t.Errorf("%v, %d bytes of %d: %.40q … %s", seen.Outcome, len(said), seen.Ran.Bytes, said, seen.Detail)
	}
	if strings.ContainsAny(said, "\x1b\"") {
		t.Error("it has what does not print")
	}
}

// TestAProgramLeavesNothingRunning: whatever it started ends with it.
func TestAProgramLeavesNothingRunning(t *testing.T) {
	path, _ := program(t)
	seen := probe(t, listed(path, "leave"), calls(30*time.Second, nil))
	pid, err := strconv.Atoi(seen.Ran.Said)
	if seen.Outcome != check.Passed || err != nil {
		t.Fatalf("%v (%s): %v", seen.Outcome, seen.Detail, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for alive(pid) {
		if ctx.Err() != nil {
			t.Fatalf("%d is still running", pid)
		}
	}
}

// alive tells a process that runs from one that is gone, or that nobody has waited for yet.
func alive(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(status), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	run := func(argv ...string) *configv1.Command { return &configv1.Command{Argv: argv} }
	for _, test := range []struct {
		name  string
		all   []*configv1.CheckCommand
		wants []string
	}{
		{"nothing", nil, nil},
		{"a path that is not absolute", []*configv1.CheckCommand{{Name: "a", Run: run("look")}}, []string{"commands[0].run: argv[0]: must be a clean absolute path"}},
		{"a path that a check could choose", []*configv1.CheckCommand{{Name: "a", Run: run("/opt/{param.x}"), Arguments: []*configv1.CheckArgument{{Name: "x", Values: []string{"y"}}}}}, []string{"commands[0].run: argv[0]"}},
		{"a placeholder that nobody knows", []*configv1.CheckCommand{{Name: "a", Run: run("/opt/look", "{version}")}}, []string{"commands[0].run: argv[1]: unknown placeholder {version}"}},
		{"an environment that loads code", []*configv1.CheckCommand{{Name: "a", Run: &configv1.Command{Argv: []string{"/opt/look"}, Env: map[string]string{"LD_PRELOAD": "/x"}}}}, []string{"commands[0].run: env[LD_PRELOAD]"}},
		{"a name twice", []*configv1.CheckCommand{{Name: "a", Run: run("/opt/look")}, {Name: "a", Run: run("/opt/look")}}, []string{"commands[1].name: a is there already"}},
		{"an argument of which nothing is said", []*configv1.CheckCommand{{Name: "a", Run: run("/opt/look", "{param.x}")}}, []string{"commands[0].arguments: what {param.x} may be is not said"}},
		{"an argument that is used nowhere", []*configv1.CheckCommand{{Name: "a", Run: run("/opt/look"), Arguments: []*configv1.CheckArgument{{Name: "x", Values: []string{"y"}}}}}, []string{"commands[0].arguments[0].name: run has no {param.x}"}},
		{"an argument twice, and no expression", []*configv1.CheckCommand{{Name: "a", Run: run("/opt/look", "{param.x}"), Arguments: []*configv1.CheckArgument{{Name: "x", Matches: "a)|(b"}, {Name: "x", Values: []string{"y"}}}}}, []string{
			"commands[0].arguments[0].matches", "commands[0].arguments[1].name: x is there already",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := commandcheck.Open(test.all)
			if (err == nil) != (test.wants == nil) {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %s", err, want)
				}
			}
		})
	}
}
