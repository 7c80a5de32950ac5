package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/cli/terminal"
)

// Command runs `shipwarden` with arguments and an environment, and returns what it prints
// and its exit code.
type Command func(ctx context.Context, args []string, getenv func(string) string) (said string, code int)

// reader is who looks at things. Of commands that only look nobody asks by whom.
const reader = "carol"

// types runs a command as a person would, who finds the settings in a context file and has
// a token. It is an error if the command does not end with that code.
func (s *story) types(ctx context.Context, person string, code int, args ...string) (string, error) {
	as := ""
	if person != reader {
		as = "   # as " + person
	}
	s.typed("%s%s", line(args), as)
	env := map[string]string{"SHIPWARDEN_CONFIG": s.contextFile(), "SHIPWARDEN_TOKEN_FILE": s.rig.TokenFile(person)}
	said, got := s.Command(ctx, args, func(name string) string { return env[name] })
	if got != code {
		return said, fmt.Errorf("shipwarden %s ended with %d, not %d: %s", line(args), got, code, strings.TrimSpace(said))
	}
	return said, nil
}

// does runs a command that must end well, and shows what it prints.
func (s *story) does(ctx context.Context, person string, args ...string) error {
	said, err := s.types(ctx, person, 0, args...)
	if err != nil {
		return err
	}
	s.quote(said)
	return nil
}

// quote shows what was printed, or lines of a document.
func (s *story) quote(text string) {
	for _, l := range terminal.Lines(text) {
		s.line("%s", strings.TrimRight(fmt.Sprintf("  %s %s", s.Paint.Faint("│"), s.cut(l, 4)), " "))
	}
}

// widest is how long a line is where nobody knows how wide the window is.
const widest = 120

// cut keeps a text within the window, behind something that is so wide already.
func (s *story) cut(text string, before int) string {
	width := widest
	if s.Width != nil && s.Width() > 0 {
		width = s.Width()
	}
	return terminal.Cut(text, max(width-before, 1))
}

// wrapped breaks the lines of a text that are sentences, between words. Those of tables stay.
func (s *story) wrapped(text string) string {
	width := min(widest, max(len([]rune(s.cut(strings.Repeat("x", widest), 4))), 1))
	var out strings.Builder
	for l := range strings.Lines(text) {
		at := 0
		for i, word := range strings.Fields(l) {
			n := len([]rune(word))
			switch {
			case strings.HasPrefix(l, "|") || i == 0:
			case at+1+n > width:
				out.WriteString("\n")
				at = 0
			}
			if at > 0 {
				out.WriteString(" ")
				at++
			}
			out.WriteString(word)
			at += n
		}
		out.WriteString("\n")
	}
	return out.String()
}

// plain is what a shell takes as one word as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:=,@…-]+$`)

// line is a command line as it would be typed.
func line(args []string) string {
	var out []string
	for _, a := range args {
		if !plain.MatchString(a) {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}

// contextFile is where commands find the services.
func (s *story) contextFile() string { return filepath.Join(s.Dir, "state", "cli.yaml") }

// settle writes it.
func (s *story) settle() error {
	out, err := settings.Settings{ApprovalURL: s.rig.ApprovalURL, RecorderURL: s.rig.RecorderURL}.File()
	if err != nil {
		return err
	}
	return os.WriteFile(s.contextFile(), out, 0o600)
}

// shell shows a line that a person would type and that is no command of ours.
func (s *story) shell(format string, args ...any) {
	s.line("%s", s.Paint.Bold("$ "+fmt.Sprintf(format, args...)))
}

// with are the lines of a text that hold one of some words.
func with(text string, words ...string) string {
	var out bytes.Buffer
	for l := range strings.Lines(text) {
		for _, w := range words {
			if strings.Contains(l, w) {
				out.WriteString(l)
				break
			}
		}
	}
	return out.String()
}
