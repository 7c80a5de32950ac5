package command

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

// Process is what the command has of the process it runs in.
type Process struct {
	In       io.Reader
	Out, Err io.Writer
	// InTerminal and OutTerminal report whether a person sits at In and Out.
	InTerminal, OutTerminal bool
	// Width is the width of the terminal at Out in characters, 0 where there is none.
	Width func() int
	// Getenv returns an environment variable.
	Getenv func(string) string
	// ConfigHome is the folder of the user's configuration; may be empty.
	ConfigHome string
}

// ThisProcess is the process that runs.
func ThisProcess() Process {
	return Process{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTerminal: isTerminal(os.Stdin), OutTerminal: isTerminal(os.Stdout),
		Width:      width,
		Getenv:     os.Getenv,
		ConfigHome: configHome(),
	}
}

// isTerminal reports whether a person may sit at the other end.
func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func width() int {
	columns, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// configHome is ~/.config on every system: one place to document.
func configHome() string {
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config")
}
