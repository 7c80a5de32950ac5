// Package argv runs the programs that an operator lists: those by which drivers
// reach a target, and those by which checks look at one. It runs an argument vector,
// never a shell (PD-5.1, PD-5.4, PD-6.1, PD-9.3).
//
// The executor and the validator's check of the kind command import it, and nobody
// else does: e2e says so.
//
// A Command comes from the configuration; what a release brings along only ever
// fills placeholders inside single elements of it. The environment is what the
// configuration says and nothing else; names that would make a program load or
// run something are refused. Output is cut to its head and tail, and what looks
// like a secret is removed before anybody sees it.
package argv

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// ErrArgument says that a value must not stand where a placeholder would put it.
var ErrArgument = errors.New("argument refused")

// DefaultTimeout is the time that a command has where none is configured.
const DefaultTimeout = time.Minute

// Command is a checked argument vector with placeholders. It is safe for
// concurrent use.
type Command struct {
	argv    []string
	env     []string
	timeout time.Duration
}

var (
	placeholder = regexp.MustCompile(`\{([^{}]*)\}`)
	envName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	// Variables by which a program is made to load code, start another program or
	// look for it elsewhere.
	envRefused = regexp.MustCompile(`^(LD_.*|DYLD_.*|_RLD.*|PATH|IFS|ENV|BASH_ENV|BASH_FUNC.*|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|CDPATH|` +
		`GIT_.*|SSH_ASKPASS|SSH_ASKPASS_REQUIRE|EDITOR|VISUAL|PAGER|LESSOPEN|LESSCLOSE|MANPAGER|BROWSER|` +
		`PYTHON.*|PERL5?(LIB|OPT|DB)|PERL5DB|RUBY(OPT|LIB)|NODE_OPTIONS|NODE_PATH|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|CLASSPATH|` +
		`GCONV_PATH|GETCONF_DIR|LOCPATH|NLSPATH|MALLOC_.*|HOSTALIASES|RES_OPTIONS|LOCALDOMAIN|TERMINFO|TERMINFO_DIRS|` +
		`GODEBUG|GOTRACEBACK|OPENSSL_CONF|OPENSSL_MODULES|SSLKEYLOGFILE|CURL_HOME|WGETRC)$`)
)

// New checks a configured command. Its placeholders are {name} for the names
// given, and with "param" among them {param.<name>} for the parameters of a
// plan. first says which placeholders the executable may begin with; others must
// be an absolute path. The error names every field at fault.
func New(c *configv1.Command, names, first []string) (*Command, error) {
	var problems []error
	refuse := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if len(c.GetArgv()) == 0 {
		return nil, errors.New("argv: required")
	}
	for i, element := range c.GetArgv() {
		if strings.ContainsRune(element, 0) {
			refuse("argv[%d]: has a NUL", i)
		}
		for _, match := range placeholder.FindAllStringSubmatch(element, -1) {
			name, parameter, _ := strings.Cut(match[1], ".")
			if !slices.Contains(names, name) || (name == "param") != (parameter != "") {
				refuse("argv[%d]: unknown placeholder %s; known are %s", i, match[0], strings.Join(names, ", "))
			}
		}
	}
	if err := checkExecutable(c.GetArgv()[0], first); err != nil {
		problems = append(problems, err)
	}
	command := &Command{argv: c.GetArgv(), timeout: DefaultTimeout}
	for _, name := range slices.Sorted(maps.Keys(c.GetEnv())) {
		value := c.GetEnv()[name]
		if err := CheckEnv(name, value); err != nil {
			refuse("env[%s]: %w", name, err)
		}
		command.env = append(command.env, name+"="+value)
	}
	if c.GetTimeout() != nil {
		if command.timeout = c.GetTimeout().AsDuration(); command.timeout <= 0 {
			refuse("timeout: must be more than nothing")
		}
	}
	return command, errors.Join(problems...)
}

// CheckEnv refuses a variable that must not stand in the environment of a command: whose name
// is none, or changes what programs load or run.
func CheckEnv(name, value string) error {
	switch {
	case !envName.MatchString(name):
		return errors.New("not a name")
	case envRefused.MatchString(name):
		return errors.New("refused: it changes what programs load or run")
	case strings.ContainsRune(value, 0):
		return errors.New("has a NUL")
	}
	return nil
}

func checkExecutable(path string, first []string) error {
	for _, name := range first {
		if rest, ok := strings.CutPrefix(path, "{"+name+"}/"); ok && !strings.Contains(rest, "{") && filepath.IsLocal(rest) {
			return nil
		}
	}
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || strings.Contains(path, "{") {
		return errors.New("argv[0]: must be a clean absolute path")
	}
	return nil
}

// Path is the executable as configured.
func (c *Command) Path() string { return c.argv[0] }

// accessExecute asks access(2) whether a file may be executed: of a script, only its
// interpreter is.
const accessExecute = 1

// CheckExecutable says why a file is none that is run: it must be a regular file that
// this process may execute and not everybody may write. path has no links left in it.
func CheckExecutable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not an executable file", path)
	case syscall.Access(path, accessExecute) != nil:
		return fmt.Errorf("%s may not be executed by this process", path)
	case info.Mode()&0o002 != 0:
		return fmt.Errorf("%s may be written by anybody", path)
	}
	return nil
}

// Expand replaces the placeholders, each inside its own element: a value never
// becomes two arguments. A value that would turn an element into an option, by a
// "-" in front that the configuration did not put there, is refused unless the
// element follows a "--". The error wraps ErrArgument and names the placeholder.
func (c *Command) Expand(values, parameters map[string]string) ([]string, error) {
	argv := make([]string, len(c.argv))
	options := true
	for i, element := range c.argv {
		var missing error
		argv[i] = placeholder.ReplaceAllStringFunc(element, func(match string) string {
			name, parameter, _ := strings.Cut(match[1:len(match)-1], ".")
			value, ok := values[name]
			if name == "param" {
				value, ok = parameters[parameter]
			}
			if !ok {
				missing = fmt.Errorf("argv[%d]: the plan has no %s: %w", i, match, ErrArgument)
			}
			return value
		})
		switch {
		case missing != nil:
			return nil, missing
		case strings.ContainsRune(argv[i], 0):
			return nil, fmt.Errorf("argv[%d] %s: the value has a NUL: %w", i, element, ErrArgument)
		case options && strings.HasPrefix(argv[i], "-") && !strings.HasPrefix(element, "-"):
			return nil, fmt.Errorf("argv[%d] %s: the value begins with - and would be an option: %w", i, element, ErrArgument)
		}
		if element == "--" {
			options = false
		}
	}
	return argv, nil
}

// Timeout is the time that a run has.
func (c *Command) Timeout() time.Duration { return c.timeout }
