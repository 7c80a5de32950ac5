package commandcheck

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/blackdice/shipwarden/internal/argv"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Commands are the programs that checks may have run, by their names.
type Commands map[string]command

// command is one of them.
type command struct {
	run *argv.Command
	// fails is the status for a failure, sha256 that of the file, "" where any is run.
	fails  int
	sha256 string
	// allowed says of every {param.<name>} of its arguments what stands for it.
	allowed map[string]func(string) bool
}

// placeholders are what arguments may have, beside {param.<name>}.
var placeholders = []string{"target", "service", "environment", "digest", "param"}

// parameter finds the names of those that are filled in by checks.
var parameter = regexp.MustCompile(`\{param\.([^{}]*)\}`)

// Open reads the configuration, and no program. The error names every field at fault.
func Open(configured []*configv1.CheckCommand) (Commands, error) {
	all := Commands{}
	var wrong []error
	for i, c := range configured {
		field := fmt.Sprintf("commands[%d].", i)
		refuse := func(name, format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("%s%s: %w", field, name, fmt.Errorf(format, args...)))
		}
		if _, twice := all[c.GetName()]; twice {
			refuse("name", "%s is there already", c.GetName())
		}
		run, err := argv.New(c.GetRun(), placeholders, nil)
		if err != nil {
			refuse("run", "%w", err)
		}
		one := command{run: run, fails: int(c.GetFailStatus()), sha256: c.GetSha256(), allowed: map[string]func(string) bool{}}
		for j, a := range c.GetArguments() {
			name := fmt.Sprintf("arguments[%d].", j)
			if one.allowed[a.GetName()] != nil {
				refuse(name+"name", "%s is there already", a.GetName())
			}
			if one.allowed[a.GetName()], err = allows(a); err != nil {
				refuse(name+"matches", "%w", err)
			}
		}
		named := parameters(c.GetRun().GetArgv())
		for _, name := range named {
			if one.allowed[name] == nil {
				refuse("arguments", "what {param.%s} may be is not said", name)
			}
		}
		for j, a := range c.GetArguments() {
			if !slices.Contains(named, a.GetName()) {
				refuse(fmt.Sprintf("arguments[%d].name", j), "run has no {param.%s}", a.GetName())
			}
		}
		all[c.GetName()] = one
	}
	return all, errors.Join(wrong...)
}

// parameters are the names of those placeholders of an argument vector that checks fill in.
func parameters(vector []string) (all []string) {
	for _, element := range vector {
		for _, match := range parameter.FindAllStringSubmatch(element, -1) {
			all = append(all, match[1])
		}
	}
	return all
}

// allows tells the values that an argument may have.
func allows(a *configv1.CheckArgument) (func(string) bool, error) {
	if a.GetMatches() == "" {
		return func(value string) bool { return slices.Contains(a.GetValues(), value) }, nil
	}
	// On its own first, so that no bracket of it closes ours.
	if _, err := regexp.Compile(a.GetMatches()); err != nil {
		return func(string) bool { return false }, err
	}
	whole, err := regexp.Compile(`\A(?:` + a.GetMatches() + `)\z`)
	if err != nil {
		return func(string) bool { return false }, err
	}
	return whole.MatchString, nil
}

// Refuses says why the check would have nothing run here: the program is not listed, it is not there
// or another one, or a value is not allowed. Nil where it would.
func (c Commands) Refuses(probe *releasev1.CommandProbe) error {
	if err := c.allows(probe); err != nil {
		return err
	}
	_, _, err := c[probe.GetCommand()].file()
	return err
}

// allows says why a check may not have the program run with such values.
func (c Commands) allows(probe *releasev1.CommandProbe) error {
	listed, ok := c[probe.GetCommand()]
	if !ok {
		return fmt.Errorf("no command %q is listed", probe.GetCommand())
	}
	for _, name := range slices.Sorted(maps.Keys(probe.GetArguments())) {
		switch value := probe.GetArguments()[name]; {
		case listed.allowed[name] == nil:
			return fmt.Errorf("command %s has no argument %s", probe.GetCommand(), name)
		case !listed.allowed[name](value):
			return fmt.Errorf("command %s does not allow %q for the argument %s", probe.GetCommand(), value, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed.allowed)) {
		if _, there := probe.GetArguments()[name]; !there {
			return fmt.Errorf("command %s needs the argument %s", probe.GetCommand(), name)
		}
	}
	return nil
}

// Missing says which programs could not be run as they are: they are not there, or others.
func (c Commands) Missing(configured []*configv1.CheckCommand) error {
	var wrong []error
	for i, one := range configured {
		if _, _, err := c[one.GetName()].file(); err != nil {
			wrong = append(wrong, fmt.Errorf("commands[%d].run.argv[0]: %w", i, err))
		}
	}
	return errors.Join(wrong...)
}
