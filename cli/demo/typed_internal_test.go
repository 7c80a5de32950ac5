package demo

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/e2e/rig"
)

// TestACommandThatEndsOtherwiseEndsTheStory: what was told would not be so.
func TestACommandThatEndsOtherwiseEndsTheStory(t *testing.T) {
	var out bytes.Buffer
	code := 0
	s := &story{rig: &rig.Rig{}, Config: Config{Out: &out, Command: func(_ context.Context, args []string, getenv func(string) string) (string, int) {
		if !strings.HasSuffix(getenv("SHIPWARDEN_TOKEN_FILE"), "erin.token") {
			t.Errorf("it is typed with the token %s", getenv("SHIPWARDEN_TOKEN_FILE"))
		}
		return args[1] + " is paused\n", code
	}}}
	if err := s.does(t.Context(), "erin", "pause", "shop-a", "--reason", "it's odd"); err != nil {
		t.Error(err)
	}
	want := "$ shipwarden pause shop-a --reason 'it'\\''s odd'   # as erin\n  │ shop-a is paused\n"
	if out.String() != want {
		t.Errorf("shown is\n%swant\n%s", &out, want)
	}
	code = 4
	if err := s.does(t.Context(), "erin", "pause", "shop-a"); err == nil || !strings.Contains(err.Error(), "ended with 4, not 0: shop-a is paused") {
		t.Errorf("got %v", err)
	}
	if _, err := s.types(t.Context(), "erin", 4, "pause", "shop-a"); err != nil {
		t.Errorf("it was to be refused, and was: %v", err)
	}
}

func TestPartsOfADocument(t *testing.T) {
	lines := strings.Split("# Title\n\n**Done.** Well.\n\n## Steps\n\n| a |\n| b |\n\n## Incident INC-7\n\n| c |", "\n")
	for begins, want := range map[string][]string{
		"**": {"**Done.** Well."}, "## Steps": {"## Steps", "", "| a |", "| b |"}, "| a": {"| a |", "| b |"}, "## Incident": {"## Incident INC-7", "", "| c |"}, "## No": nil,
	} {
		if got := part(lines, begins); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", begins, got, want)
		}
	}
}

// TestLinesFitTheWindow: of a window that nobody knows, most have room for so much.
func TestLinesFitTheWindow(t *testing.T) {
	text := strings.Repeat("four ", 40) + "\n| " + strings.Repeat("table ", 40) + "|\n"
	for width, want := range map[int]int{0: widest - 4, 60: 56, 3: 5} {
		s := &story{Config: Config{Width: func() int { return width }}}
		lines := strings.Split(strings.TrimSuffix(s.wrapped(text), "\n"), "\n")
		for i, l := range lines[:len(lines)-1] {
			if len(l) > want || l != strings.TrimSpace(l) {
				t.Errorf("width %d, line %d is %q", width, i, l)
			}
		}
		if l := lines[len(lines)-1]; !strings.HasPrefix(l, "| table") || len(l) < 240 {
			t.Errorf("a row of a table was broken: %q", l)
		}
	}
}
