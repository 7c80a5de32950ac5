package document

import (
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// timeline is every event that counts, in the order of the stream.
func (w *writer) timeline(r *Record) {
	if len(r.events) == 0 {
		return
	}
	w.section("Events")
	var rows [][]string
	for _, e := range r.events {
		kind := strings.ReplaceAll(procedure.TypeOf(e.Entry.Event), "_", " ")
		rows = append(rows, []string{
			fmt.Sprint(e.Entry.Sequence), stamp(e.Entry.Stored), kind, w.said(view.Tell(e.Entry.Event), "named in an event"),
			who(e.Entry.Event), code(e.SignedBy), w.digest(e.Digest(), fmt.Sprintf("event %d, %s", e.Entry.Sequence, kind)),
		})
	}
	w.table([]string{"Event", "Stored", "What", "What it says", "Who", "Signed with", "Digest"}, rows)
}

// rejected are messages in the release's stream that do not count.
func (w *writer) rejected(r *Record) {
	if len(r.Rejected) == 0 {
		return
	}
	w.section("Messages that do not count")
	w.paragraph("They lie in the stream under the subject of this release and changed nothing.")
	var rows [][]string
	for _, x := range r.Rejected {
		rows = append(rows, []string{
			fmt.Sprint(x.Sequence), stamp(x.Time), code(x.Subject), w.said(x.Reason, "named with what does not count"),
			w.digest(x.Digest, fmt.Sprintf("message %d, which does not count", x.Sequence)),
		})
	}
	w.table([]string{"Message", "Stored", "Subject", "Why", "Digest"}, rows)
}

// appendix resolves what is shortened elsewhere: every digest in full, once.
func (w *writer) appendix() {
	if len(w.digests.all) == 0 {
		return
	}
	w.section("Appendix: digests in full")
	w.paragraph(fmt.Sprintf("Elsewhere in this document a SHA-256 is given by its first %d digits. Evidence is stored under its digest.", shown))
	var rows [][]string
	for _, d := range w.digests.all {
		bytes := none
		if d.size >= 0 {
			bytes = fmt.Sprint(d.size)
		}
		rows = append(rows, []string{escape(d.what), code(d.digest), bytes, escape(d.media)})
	}
	w.table([]string{"What", "Digest", "Bytes", "Media type"}, rows)
}
