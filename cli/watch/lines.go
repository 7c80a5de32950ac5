package watch

import (
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Lines shows a release as one line for each event, for logs and pipes.
type Lines struct {
	w    io.Writer
	last *recorderv1.Release
}

// NewLines returns a view that writes lines to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w} }

// Show writes a line for an event. An answer without one says where the release
// stands: it is the first, or the first after a loss of the connection, and then
// written only where something was missed.
func (l *Lines) Show(answer *recorderv1.WatchReleaseResponse) {
	r, e := answer.GetRelease(), answer.GetEvent()
	before := l.last
	l.last = r
	if e == nil {
		if before != nil && before.GetLastSequence() == r.GetLastSequence() {
			return
		}
		fmt.Fprintf(l.w, "%s  #%d  %s: %s\n", terminal.Time(r.GetUpdated()), r.GetLastSequence(), position(r), terminal.Escape(r.GetSummary()))
		return
	}
	if e.GetRejected() != "" {
		fmt.Fprintf(l.w, "%s  #%d  does not count: %s\n", terminal.Time(e.GetStored()), e.GetSequence(), terminal.Escape(e.GetRejected()))
		return
	}
	line := fmt.Sprintf("%s  #%d  %-26s", terminal.Time(e.GetStored()), e.GetSequence(), kind(e.GetEvent()))
	if s := changed(before, r); s != nil {
		line += fmt.Sprintf("  %s %s %s", s.GetNumber(), terminal.Escape(s.GetName()), terminal.Word(s.GetStatus(), "STATUS_"))
		if s.GetDetail() != "" {
			line += ": " + terminal.Escape(s.GetDetail())
		}
	}
	fmt.Fprintln(l.w, strings.TrimRight(line, " "))
}

// End writes how it ended.
func (l *Lines) End(r *recorderv1.Release) {
	fmt.Fprintf(l.w, "%s  %s: %s\n", terminal.Time(r.GetUpdated()), position(r), terminal.Escape(r.GetSummary()))
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

// position is the outcome, or else the phase.
func position(r *recorderv1.Release) string {
	if r.GetOutcome() != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return terminal.Word(r.GetOutcome(), "OUTCOME_")
	}
	return terminal.Escape(r.GetPhase())
}
