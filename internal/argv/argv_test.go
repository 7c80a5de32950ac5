package argv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/shaketest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

const roleEnv = "SHIPWARDEN_ARGV_ROLE"

// The commands that are run are this test binary, as whatever role says.
func TestMain(m *testing.M) {
	role, argument, _ := strings.Cut(os.Getenv(roleEnv), " ")
	switch role {
	case "":
		os.Exit(m.Run())
	case "show":
		for _, a := range os.Args[1:] {
			fmt.Fprintf(os.Stdout, "%q\n", a)
		}
		for _, e := range os.Environ() {
			fmt.Fprintln(os.Stdout, e)
		}
	case "fail":
		fmt.Fprintln(os.Stdout, "reached the disk\nAuthorization: Bearer abcdef0123456789")
		os.Exit(3)
	case "flood":
		fmt.Fprintln(os.Stdout, "first line")
		line := strings.Repeat("x", 1023) + "\n"
		for range 8 << 10 {
			fmt.Fprint(os.Stdout, line)
		}
		fmt.Fprintln(os.Stdout, "last line")
	case "endless":
		// No line has an end, and nothing of it is text.
		block := bytes.Repeat([]byte{0xff, 0x00, 0x1b, '['}, 8<<10)
		for {
			if _, err := os.Stdout.Write(block); err != nil {
				os.Exit(1)
			}
		}
	case "hang":
		// A child in the same group, which must end with us.
		path, err := os.Executable()
		if err != nil {
			os.Exit(1)
		}
		child := exec.Command(path)
		child.Env = []string{roleEnv + "=wait"}
		if err := child.Start(); err != nil {
			os.Exit(1)
		}
		if err := os.WriteFile(argument+".next", fmt.Appendf(nil, "%d", child.Process.Pid), 0o600); err != nil {
			os.Exit(1)
		}
		if err := os.Rename(argument+".next", argument); err != nil {
			os.Exit(1)
		}
		<-time.After(time.Minute)
	case "wait":
		<-time.After(time.Minute)
	}
	os.Exit(0)
}

func self(t *testing.T, role string, arguments ...string) *Command {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(&configv1.Command{
		Argv: append([]string{path}, arguments...), Env: map[string]string{roleEnv: role},
	}, []string{"digest", "param"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHostileValuesStayOneArgument(t *testing.T) {
	t.Setenv("LEAKED", "from the parent")
	c := self(t, "show", "{param.a}", "x={param.b}", "--", "{param.c}", "{param.d}")
	values := map[string]string{
		"a": "; rm -rf / `id` $(id) *", "b": "two words\nand a line", "c": "--flag", "d": "{param.a}",
	}
	argv, err := c.Expand(nil, values)
	if err != nil {
		t.Fatal(err)
	}
	output, err := c.Run(t.Context(), Run{Argv: argv, Folder: "/"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("%q", values["a"]), fmt.Sprintf("%q", "x="+values["b"]), `"--"`, `"--flag"`, `"{param.a}"`,
		roleEnv + "=show",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(string(output.Text)), "\n")); diff != "" {
		t.Errorf("arguments and environment (-want +got):\n%s", diff)
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name     string
		argument string
		value    string
		ok       bool
	}{
		{"an option", "{param.a}", "-rf", false},
		{"an option with two dashes", "{param.a}", "--upload-pack=x", false},
		{"a NUL", "{param.a}", "a\x00b", false},
		{"a parameter that the plan has not", "{param.b}", "", false},
		{"a dash behind the configuration's own", "--name={param.a}", "-rf", true},
		{"a dash inside", "x{param.a}", "-rf", true},
		{"nothing", "{param.a}", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := self(t, "show", test.argument).Expand(nil, map[string]string{"a": test.value})
			if test.ok != (err == nil) || (err != nil && !errors.Is(err, ErrArgument)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFailureHasItsStatusAndOutput(t *testing.T) {
	c := self(t, "fail")
	output, err := c.Run(t.Context(), Run{Argv: c.argv, Folder: "/"})
	if !errors.Is(err, ErrExit) || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	if got := output.LastLine(); got != "Authorization: Bearer [redacted bearer token]" || output.Redacted != 1 {
		t.Errorf("last line %q, %d redacted", got, output.Redacted)
	}
}

func TestWhatCannotBeStartedRanNotAtAll(t *testing.T) {
	c := self(t, "show")
	if _, err := c.Run(t.Context(), Run{Path: filepath.Join(t.TempDir(), "none"), Argv: c.argv, Folder: "/"}); !errors.Is(err, ErrStart) {
		t.Errorf("got %v", err)
	}
}

func TestFloodIsCutToHeadAndTail(t *testing.T) {
	c := self(t, "flood")
	output, err := c.Run(t.Context(), Run{Argv: c.argv, Folder: "/"})
	if err != nil {
		t.Fatal(err)
	}
	text := string(output.Text)
	if !strings.HasPrefix(text, "first line\n") || !strings.HasSuffix(text, "\nlast line\n") || !strings.Contains(text, "bytes left out") {
		t.Errorf("got %q … %q", text[:40], text[len(text)-40:])
	}
	all := sha256.New()
	fmt.Fprintln(all, "first line")
	for range 8 << 10 {
		fmt.Fprintln(all, strings.Repeat("x", 1023))
	}
	fmt.Fprintln(all, "last line")
	if want := fmt.Sprintf("sha256:%x", all.Sum(nil)); len(text) > MaxOutput+256 || output.Total != 8<<20+21 || output.Digest != want {
		t.Errorf("kept %d of %d bytes, %s, want %s", len(text), output.Total, output.Digest, want)
	}
}

func TestOutputWithoutAnEndTakesBoundedMemory(t *testing.T) {
	c := self(t, "endless")
	c.timeout = 5 * time.Second
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	output, err := c.Run(t.Context(), Run{Argv: c.argv, Folder: "/"})
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrKilled) || output.Total <= MaxOutput || len(output.Text) > MaxOutput+256 {
		t.Errorf("kept %d of %d bytes, %v", len(output.Text), output.Total, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
		t.Errorf("it took %d bytes of memory for %d of output", n, output.Total)
	}
	if line := output.LastLine(); len(line) > 256 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("its last line is %q", line)
	}
}

// FuzzNoValueIsMoreThanAnArgument: whatever fills a placeholder, a vector has the elements of its
// configuration, and no element is an option by what was put into it.
func FuzzNoValueIsMoreThanAnArgument(f *testing.F) {
	for _, seed := range []string{"", "eu-1", "; rm -rf /", "$(id)", "`id`", "a\nb", "--upload-pack=x", "-", "{param.a}", "{digest}", "*", "\x00", "\u2212x", " -x", "--"} {
		shaketest.Add(f, seed)
	}
	configured := []string{"/bin/deploy", "--name={param.a}", "{param.a}", "x{param.a}y", "--", "{param.a}", "-{param.a}"}
	c, err := New(&configv1.Command{Argv: configured}, []string{"digest", "param"}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		argv, err := c.Expand(map[string]string{"digest": "d"}, map[string]string{"a": value})
		if strings.HasPrefix(value, "-") || strings.ContainsRune(value, 0) {
			if !errors.Is(err, ErrArgument) {
				t.Errorf("%q: %q, %v", value, argv, err)
			}
			return
		}
		want := []string{"/bin/deploy", "--name=" + value, value, "x" + value + "y", "--", value, "-" + value}
		if diff := cmp.Diff(want, argv); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestTheWholeGroupIsKilled(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *Command, cancel func())
	}{
		{"at the timeout", func(c *Command, _ func()) { c.timeout = 5 * time.Second }},
		{"with the context", func(_ *Command, cancel func()) { cancel() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			file := filepath.Join(t.TempDir(), "pid")
			c := self(t, "hang "+file)
			c.timeout = time.Minute
			var pid int
			if test.name == "at the timeout" {
				test.end(c, cancel)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := c.Run(ctx, Run{Argv: c.argv, Folder: "/"})
				ended <- err
			}()
			eventually(t, "the child says who it is", func() bool {
				data, err := os.ReadFile(file)
				if err == nil {
					fmt.Sscan(string(data), &pid)
				}
				return pid != 0
			})
			if test.name != "at the timeout" {
				test.end(c, cancel)
			}
			if err := <-ended; !errors.Is(err, ErrKilled) {
				t.Errorf("got %v", err)
			}
			eventually(t, "the child is gone", func() bool { return gone(pid) })
		})
	}
}

// gone says whether a process has ended, even where nobody has asked for its
// status yet.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

func TestTimeoutIsConfigured(t *testing.T) {
	c, err := New(&configv1.Command{Argv: []string{"/bin/true"}, Timeout: durationpb.New(7 * time.Second)}, nil, nil)
	if err != nil || c.Timeout() != 7*time.Second {
		t.Errorf("%v, %v", c.Timeout(), err)
	}
}
