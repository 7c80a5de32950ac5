package digest

import (
	"fmt"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/mail"
)

// key is what the Message-ID of a person's mail of a day is made from.
func key(day Day, person string) string { return "digest/" + day.String() + "/" + person }

// letter is the mail of a person and a day: the same bytes whenever it is written, as long as
// the same documents are missing.
func (c Calendar) letter(from string, day Day, person string, own *own, missing []*unread) ([]byte, error) {
	var text strings.Builder
	fmt.Fprintf(&text, "This is on record in your name (%s) of %s, from %s to %s.\n", person, day.shown.Format("Monday, 2 January 2006"), c.show(c.Begins(day)), c.show(c.Ends(day)))
	text.WriteString("It is written by the recorder, from the record itself, and not by the service that takes decisions.\n\n")
	c.list(&text, own.counted)
	if own.rejected.all > 0 {
		text.WriteString("\nThis names you as well, and counts for nothing:\n\n")
		c.list(&text, own.rejected)
	}
	for _, m := range missing {
		fmt.Fprintf(&text, "\nVersion %s of the procedure document could not be read (%s). If it has another address\nof yours, this did not go there.\n", words(m.version), words(m.digest))
	}
	text.WriteString(advice)
	return mail.Letter{
		From: from, To: person, Key: key(day, person), Time: c.Due(day),
		Subject: fmt.Sprintf("Shipwarden: on record in your name, %s (%d)", day, own.counted.all+own.rejected.all), Text: text.String(),
	}.Bytes()
}

func (c Calendar) list(text *strings.Builder, s some) {
	if s.all == 0 {
		text.WriteString("Nothing that counts.\n")
	}
	for i, e := range s.first {
		fmt.Fprintf(text, "%d. %s\n", i+1, e.What)
		line := func(name, value string) { fmt.Fprintf(text, "   %s: %s\n", name, value) }
		line("when", c.show(e.Stored.Truncate(time.Second)))
		for _, n := range e.Notes {
			line(n[0], n[1])
		}
		if e.Rejected != "" {
			line("does not count", e.Rejected)
		}
		line("message", fmt.Sprint(e.Sequence))
	}
	if more := s.all - len(s.first); more > 0 {
		fmt.Fprintf(text, "and %d more, which the record has.\n", more)
	}
}

// advice stands below each list; docs/digest.md says more.
const advice = `
If something in it was not you:

- Do not answer this mail. Tell the people who run Shipwarden and your security team at once,
  by another way, with the release and the number of the message.
- A release that has not started yet is stopped by "shipwarden reject RELEASE" or
  "shipwarden withdraw-approval RELEASE", one that is under way by "shipwarden abort RELEASE".
- Have your tokens and certificates for Shipwarden taken back.

What to do then is in docs/digest.md of Shipwarden, "It was not me".
`
