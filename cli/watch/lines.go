package watch

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Lines shows a release as one line for each event, for logs and pipes.
type Lines struct {
	w    io.Writer
	last *recorderv1.Release
	// stood is the line that told last where the release stands, and nothing was told since.
	stood string
}

// NewLines returns a view that writes lines to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w} }

// Show writes a line for an event. An answer without one says where the release
// stands: it is the first, or the first after a loss of the connection, and then
// written only where something was missed.
func (l *Lines) Show(answer *recorderv1.WatchReleaseResponse) {
	r, e := answer.GetRelease(), answer.GetEvent()
	before := l.last
	l.last, l.stood = r, ""
	if e == nil {
		if before != nil && before.GetLastSequence() == r.GetLastSequence() && before.GetSummary() == r.GetSummary() {
			return
		}
		l.stood = position(r) + ": " + terminal.Escape(r.GetSummary())
		fmt.Fprintf(l.w, "%s  #%d  %s\n", terminal.Time(r.GetUpdated()), r.GetLastSequence(), l.stood)
		return
	}
	if e.GetRejected() != "" {
		fmt.Fprintf(l.w, "%s  #%d  does not count: %s\n", terminal.Time(e.GetStored()), e.GetSequence(), terminal.Escape(e.GetRejected()))
		return
	}
	line := fmt.Sprintf("%s  #%d  %-26s", terminal.Time(e.GetStored()), e.GetSequence(), kind(e.GetEvent()))
	if s := changed(before, r); s != nil {
		line += fmt.Sprintf("  %s %s %s", s.GetNumber(), terminal.Escape(s.GetName()), terminal.Word(standing(r, s), "STATUS_"))
		if s.GetDetail() != "" {
			line += ": " + terminal.Escape(s.GetDetail())
		}
	}
	fmt.Fprintln(l.w, strings.TrimRight(line, " "))
}

// End writes how it ended, unless that was the last thing that was told.
func (l *Lines) End(r *recorderv1.Release) {
	stands := position(r) + ": " + terminal.Escape(r.GetSummary())
	if stands != l.stood {
		fmt.Fprintf(l.w, "%s  %s\n", terminal.Time(r.GetUpdated()), stands)
	}
}

// kind is the event's name, as it is the last token of its subject.
func kind(e *releasev1.Event) string {
	m := e.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("data"))
	if field == nil {
		return "unknown"
	}
	return string(field.Name())
}

// changed returns the last step that differs, which is the one that the event began,
// or that it ended where it began none.
func changed(before, after *recorderv1.Release) *recorderv1.Step {
	old := map[string]*recorderv1.Step{}
	for _, s := range before.GetSteps() {
		old[s.GetNumber()] = s
	}
	var out *recorderv1.Step
	for _, s := range after.GetSteps() {
		o := old[s.GetNumber()]
		if o.GetStatus() == s.GetStatus() && o.GetDetail() == s.GetDetail() {
			continue
		}
		// A step that just begins has nothing to tell yet.
		if out == nil || s.GetDetail() != "" {
			out = s
		}
	}
	return out
}

// someWaves is how the detail of a step begins that every wave goes through.
var someWaves = regexp.MustCompile(`^([0-9]+) of ([0-9]+) waves\b`)

// standing is the status of a step. One that is done for some waves only, while the
// release goes on, goes on too.
func standing(r *recorderv1.Release, s *recorderv1.Step) recorderv1.Step_Status {
	m := someWaves.FindStringSubmatch(s.GetDetail())
	if m != nil && m[1] != m[2] && s.GetStatus() == recorderv1.Step_STATUS_DONE && r.GetOutcome() == releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return recorderv1.Step_STATUS_RUNNING
	}
	return s.GetStatus()
}

// position is the outcome, or else the phase.
func position(r *recorderv1.Release) string {
	if r.GetOutcome() != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return terminal.Word(r.GetOutcome(), "OUTCOME_")
	}
	return terminal.Escape(r.GetPhase())
}
