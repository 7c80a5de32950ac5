package document

import (
	"bytes"
	"fmt"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// writer writes Markdown. What it is given is Markdown already; texts go through
// escape, said, code or digest first.
type writer struct {
	bytes.Buffer
	digests digests
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *writer) section(title string) { fmt.Fprintf(w, "\n## %s\n", title) }

func (w *writer) part(title string) { fmt.Fprintf(w, "\n### %s\n", title) }

func (w *writer) paragraph(sentences ...string) {
	var all []string
	for _, s := range sentences {
		if s != "" {
			all = append(all, s)
		}
	}
	if len(all) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(all, " "))
	}
}

// table writes rows under a head; none at all where there are no rows. Columns in
// which nothing stands are left out.
func (w *writer) table(head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	var kept []int
	for i := range head {
		for _, r := range rows {
			if r[i] != "" && r[i] != none {
				kept = append(kept, i)
				break
			}
		}
	}
	w.line("")
	w.row(head, kept)
	w.line("|%s", strings.Repeat(" --- |", len(kept)))
	for _, r := range rows {
		w.row(r, kept)
	}
}

func (w *writer) row(cells []string, kept []int) {
	w.WriteByte('|')
	for _, i := range kept {
		c := cells[i]
		if c == "" {
			c = none
		}
		w.WriteString(" " + c + " |")
	}
	w.WriteByte('\n')
}

// facts writes a table of names and values; those that have no value are left out.
func (w *writer) facts(rows [][2]string) {
	var all [][]string
	for _, r := range rows {
		if r[1] != "" && r[1] != none {
			all = append(all, []string{r[0], r[1]})
		}
	}
	w.table([]string{"What", "Value"}, all)
}

// list writes a list, or an explicit none.
func (w *writer) list(all []string) {
	w.line("")
	if len(all) == 0 {
		w.line("None.")
	}
	for _, s := range all {
		w.line("- %s", s)
	}
}

// from returns the events whose data is of one kind, in their order.
func from[T any](r *Record) []told[T] {
	var all []told[T]
	for _, e := range r.events {
		if data, ok := e.Entry.Event.GetData().(T); ok {
			all = append(all, told[T]{e, data})
		}
	}
	return all
}

// told is an event with its data.
type told[T any] struct {
	view.Recorded
	data T
}

// who is who decided an event.
func who(e *releasev1.Event) string { return escape(e.GetActor().GetId()) }
