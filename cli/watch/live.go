package watch

import (
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// Control sequences that every terminal of the last decades obeys.
const (
	up        = "\x1b[%dA" // so many lines up
	clearLine = "\x1b[2K"
	clearRest = "\x1b[J"
)

// Live redraws the steps of a release in place. A line that is wider than the window
// would take two and spoil the way up, so lines are cut.
type Live struct {
	w      io.Writer
	width  func() int
	paint  terminal.Paint
	height int
}

// NewLive returns a view that draws on the terminal w. width gives the window's
// width in characters at each drawing, 0 for none.
func NewLive(w io.Writer, width func() int, paint terminal.Paint) *Live {
	return &Live{w: w, width: width, paint: paint}
}

// Show draws the release in the place of the last drawing.
func (l *Live) Show(answer *recorderv1.WatchReleaseResponse) {
	lines := l.draw(answer.GetRelease())
	var out strings.Builder
	if l.height > 0 {
		fmt.Fprintf(&out, up, l.height)
	}
	for _, line := range lines {
		out.WriteString(clearLine + line + "\n")
	}
	out.WriteString(clearRest)
	l.height = len(lines)
	// One write, so that no half drawing is seen.
	_, _ = io.WriteString(l.w, out.String())
}

// End leaves the last drawing standing.
func (l *Live) End(*recorderv1.Release) { l.height = 0 }

// Interrupted says that something else was written below the drawing, so that the
// next one starts anew.
func (l *Live) Interrupted() { l.height = 0 }

func (l *Live) draw(r *recorderv1.Release) []string {
	width := l.width()
	head := fmt.Sprintf("%s  %s %s to %s  %s", terminal.Escape(r.GetRelease()), terminal.Escape(r.GetService()),
		terminal.Escape(r.GetVersion()), terminal.Escape(r.GetEnvironment()), position(r))
	lines := []string{terminal.Cut(head, width)}
	for _, s := range r.GetSteps() {
		status := standing(r, s)
		line := fmt.Sprintf("  %s %s  %-9s  %-8s", sign(status), terminal.Escape(s.GetNumber()),
			terminal.Escape(s.GetName()), terminal.Word(status, "STATUS_"))
		if s.GetDetail() != "" {
			line += "  " + terminal.Escape(s.GetDetail())
		}
		lines = append(lines, l.color(status, terminal.Cut(strings.TrimRight(line, " "), width)))
	}
	lines = append(lines, terminal.Cut(terminal.Escape(r.GetSummary()), width))
	if len(r.GetActions()) > 0 {
		lines = append(lines, terminal.Cut("Possible now: "+terminal.Escape(strings.Join(r.GetActions(), ", ")), width))
	}
	return lines
}

// sign tells a status apart without color.
func sign(s recorderv1.Step_Status) string {
	switch s { //nolint:exhaustive // The others have not begun.
	case recorderv1.Step_STATUS_RUNNING:
		return "▸"
	case recorderv1.Step_STATUS_WAITING:
		return "‖"
	case recorderv1.Step_STATUS_DONE:
		return "✓"
	case recorderv1.Step_STATUS_FAILED:
		return "✗"
	case recorderv1.Step_STATUS_BYPASSED:
		return "!"
	case recorderv1.Step_STATUS_SKIPPED:
		return "-"
	}
	return "·"
}

func (l *Live) color(s recorderv1.Step_Status, line string) string {
	switch s { //nolint:exhaustive // The others keep the terminal's color.
	case recorderv1.Step_STATUS_DONE:
		return l.paint.Green(line)
	case recorderv1.Step_STATUS_FAILED:
		return l.paint.Red(line)
	case recorderv1.Step_STATUS_WAITING, recorderv1.Step_STATUS_BYPASSED:
		return l.paint.Yellow(line)
	case recorderv1.Step_STATUS_RUNNING:
		return l.paint.Bold(line)
	case recorderv1.Step_STATUS_PENDING, recorderv1.Step_STATUS_SKIPPED:
		return l.paint.Faint(line)
	}
	return line
}
