package document_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// judged are the fields that the fold compares with something: a text of its own in
// them, and the event does not count.
var judged = []string{
	"change_digest", "targets", "target", "person", "group", "digest", "service", "environment", "idempotency_key", "bypassed", "rollback",
}

// poison puts the text into every other field of a message that holds text.
func poison(m protoreflect.Message, text string) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if slices.Contains(judged, string(f.Name())) {
			return true
		}
		switch {
		case f.IsMap():
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			for i := range v.List().Len() {
				poison(v.List().Get(i).Message(), text)
			}
		case f.IsList() && f.Kind() == protoreflect.StringKind:
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(text))
			}
		case f.Kind() == protoreflect.MessageKind:
			poison(v.Message(), text)
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(text))
		}
		return true
	})
}

// TestNoFieldOfAnyEventMeansAnythingInTheDocument puts hostile text wherever events
// hold text, also where only a service that went wrong could have put it.
func TestNoFieldOfAnyEventMeansAnythingInTheDocument(t *testing.T) {
	for name, h := range told(t) {
		shape := func(text string) []string {
			var all []view.Recorded
			s := procedure.State{Release: h.Release}
			for _, r := range messages(h) {
				r.Entry.Event = proto.CloneOf(r.Entry.Event)
				data := r.Entry.Event.ProtoReflect()
				field := data.WhichOneof(data.Descriptor().Oneofs().ByName("data"))
				m := data.Get(field).Message()
				poison(m, text)
				if f := m.Descriptor().Fields().ByName("change_digest"); f != nil {
					// What approvers approve has other words in it now.
					m.Set(f, protoreflect.ValueOfString(procedure.ChangeDigest(s)))
				}
				if r.Entry.Event.GetNoticeAcknowledged() != nil {
					r.Entry.Event.GetActor().Id = text // Whom it was meant for has another name now.
				}
				var err error
				if s, err = procedure.Evolve(s, r.Entry); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				r.SignedBy, r.Subject = text, text
				all = append(all, r)
			}
			all = append(all, view.Recorded{Entry: procedure.Entry{Sequence: h.Last + 1}, Subject: text, Rejected: text})
			lines := structure(t, text, string(document.Build(h.Release, all).Markdown()))
			for _, back := range s.Rollbacks {
				if r, ok := document.BuildRollback(h.Release, all, back.Number); ok {
					lines = append(lines, structure(t, text, string(r.Markdown()))...)
				}
			}
			return lines
		}
		plain := shape("plain")
		for _, text := range hostile {
			if got := shape(text); !slices.Equal(got, plain) {
				t.Errorf("%s: %q changes the document's structure: %s", name, text, cmp.Diff(plain, got))
			}
		}
	}
}

// structure is what makes the structure of a document: beginnings of lines, and
// cells. Nothing of what could be a link, markup or a command may be left in it.
func structure(t *testing.T, text, out string) []string {
	t.Helper()
	outside := plainly.ReplaceAllString(out, "")
	for _, bad := range []string{"<", ">", "](", "\x1b", "\x07", "\u202e", "\u2066", "\u200b", "\u2028", "http://", "javascript:", "www.e", "l@e"} {
		if strings.Contains(outside, bad) {
			t.Errorf("%q leaves %q in the document", text, bad)
		}
	}
	var lines []string
	for line := range strings.Lines(out) {
		cells := strings.Count(line, "|") - strings.Count(line, "\\|")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		lines = append(lines, strings.Repeat(" ", indent)+string([]rune(strings.TrimSpace(line) + " ")[0])+strings.Repeat("|", cells))
	}
	return lines
}

func TestFreeTextMeansNothingInTheDocument(t *testing.T) {
	shape := func(text string) []string {
		h := history(t, procedure.PhaseApprove, func(r *releasev1.Request) {
			r.Plan.Description, r.Risk.Description = text, text
			r.Plan.Parameters = map[string]string{"note": text}
		})
		h.Do(t, "rita", &releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: text}}})
		return structure(t, text, string(document.Build(h.Release, messages(h)).Markdown()))
	}
	plain := shape("plain")
	for _, text := range hostile {
		if got := shape(text); !slices.Equal(got, plain) {
			t.Errorf("%q changes the document's structure: %s", text, cmp.Diff(plain, got))
		}
	}
}
