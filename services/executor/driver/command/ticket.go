package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// A ticket is a symbolic link to the executable, and the command is executed by that
// link. The system looks the link up in the one call that turns a process into the
// command, so that whoever removes it knows: either the command runs already, or it
// never will. An executor that is stopped, between whichever two instructions, cannot
// get around that.
func (m marker) ticket() string { return filepath.Join(m.folder, m.attempt+".run") }

// write makes the ticket, before the start marker and under the lock of the target: a
// ticket that is made after it could be one that was removed on purpose.
func (m marker) write(executable string) error {
	if err := os.MkdirAll(m.folder, 0o755); err != nil {
		return fmt.Errorf("write ticket: %w", err)
	}
	err := os.Remove(m.ticket()) // of a crash before the start marker
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Symlink(executable, m.ticket())
	}
	if err != nil {
		return fmt.Errorf("write ticket: %w", err)
	}
	return nil
}

// void removes the ticket for good.
func (m marker) void() error {
	if err := os.Remove(m.ticket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove ticket: %w", err)
	}
	if err := fence.SyncFolder(m.folder); err != nil {
		return fmt.Errorf("remove ticket: %w", err)
	}
	return nil
}

// voided reports whether somebody removed the ticket.
func (m marker) voided() bool {
	_, err := os.Lstat(m.ticket())
	return errors.Is(err, fs.ErrNotExist)
}

// maxInterpreters bounds how many scripts may interpret one another, and maxHash the
// first line of each, as the system does.
const (
	maxInterpreters = 4
	maxHash         = 255
)

// binary returns what the system would load to run the executable, and the vector
// that it would be given. A script is run by its interpreter, which opens it by its
// path: were the ticket that path, the script would not know where it lies.
func binary(path string, argv []string) (string, []string, error) {
	for range maxInterpreters {
		interpreter, err := interpreterOf(path)
		if err != nil {
			return "", nil, err
		}
		if len(interpreter) == 0 {
			return path, argv, nil
		}
		argv = append(append(interpreter, path), argv[1:]...)
		path = interpreter[0]
	}
	return "", nil, fmt.Errorf("%s: too many interpreters", path)
}

// interpreterOf reads the first line of a script: the interpreter and its argument.
// It is empty for whatever is no script, and for what may be executed and not read.
func interpreterOf(path string) ([]string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	line, err := bufio.NewReader(io.LimitReader(file, maxHash)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	rest, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return nil, nil
	}
	name, argument, _ := strings.Cut(strings.Trim(rest, " \t\n"), " ")
	if before, after, tab := strings.Cut(name, "\t"); tab {
		name, argument = before, after+" "+argument
	}
	if !filepath.IsAbs(name) {
		return nil, fmt.Errorf("%s: its interpreter %q is no absolute path", path, name)
	}
	if argument = strings.Trim(argument, " \t"); argument == "" {
		return []string{name}, nil
	}
	return []string{name, argument}, nil
}
