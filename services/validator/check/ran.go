package check

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxSaid is how much is kept of what a program said, in bytes; as often as a sample is taken, so
// that it is little.
const MaxSaid = 1024

// How a program ended.
const (
	// EndedByItself is one that has a status.
	EndedByItself = "by itself"
	// EndedKilled is one that was killed, for instance because its time was over: how far it came
	// is not known.
	EndedKilled = "killed"
	// EndedNever is one that could not be started, or was not.
	EndedNever = "not started"
)

// Ran is what became of a program that looked at a target.
type Ran struct {
	// Program is its file after all links, and Digest the SHA-256 of what was in it right before it
	// was run, "sha256:…"; empty where it could not be read.
	Program string `json:"program,omitempty"`
	Digest  string `json:"digest,omitempty"`
	// Ended is how it ended, and Why what is known beside that where it did not by itself.
	Ended string `json:"ended"`
	Why   string `json:"why,omitempty"`
	// Status is that with which it ended by itself, and Fails the one that says that the target is
	// not as it should be, by the validator's configuration.
	Status int `json:"status"`
	Fails  int `json:"fails"`
	// Said is what it printed, without secrets, cut where it was long; Bytes is how much that was,
	// and Redacted how many secrets were taken out.
	Said     string `json:"said,omitempty"`
	Bytes    int64  `json:"bytes"`
	Redacted int    `json:"redacted,omitempty"`
}

// Saying cuts what a program printed to what is kept of it: lines of printable characters, from the
// beginning and from the end.
func Saying(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '"':
			return '\''
		case r == '\\' || r == utf8.RuneError || !unicode.IsPrint(r):
			return '.'
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(text, ".")))
	const mark = "\n…\n"
	if len(text) <= MaxSaid {
		return text
	}
	room := MaxSaid - len(mark)
	head, tail := room/2, len(text)-room/2
	for !utf8.RuneStart(text[head]) {
		head--
	}
	for !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + mark + text[tail:]
}

// JudgeRan derives the outcome of a sample from what became of a program. It is pure. Only one that
// ended by itself says anything: 0 is a pass and one status a failure. It says nothing with any
// other, as shells and run times end with when something is wrong with the program.
func JudgeRan(r *Ran) Observation {
	seen := Observation{Outcome: Error, Ran: r}
	if r.Ended != EndedByItself {
		seen.Detail = r.Ended
		if r.Why != "" {
			seen.Detail += ": " + r.Why
		}
		return seen
	}
	seen.Detail = fmt.Sprintf("status %d", r.Status)
	switch r.Status {
	case 0:
		seen.Outcome = Passed
	case r.Fails:
		seen.Outcome = Failed
	default:
		seen.Detail += fmt.Sprintf(", which says nothing: 0 is a pass, %d a failure", r.Fails)
	}
	if last := r.Said[strings.LastIndexByte(r.Said, '\n')+1:]; last != "" {
		seen.Detail += ": " + last
	}
	return seen
}

// rerun says why the outcome of a sample is not what became of a program; nil where it is, or where
// no program is run by such a check.
func rerun(c *releasev1.Check, s Sample) error {
	switch {
	case c.GetCommand() == nil && s.Ran != nil:
		return fmt.Errorf("a check of the kind %s runs no program", criterion.Kind(c))
	case c.GetCommand() == nil:
		return nil
	case s.Ran == nil:
		if s.Outcome != Error {
			return fmt.Errorf("it %s, and nothing was run", s.Outcome)
		}
		return nil
	}
	if judged := JudgeRan(s.Ran); judged.Outcome != s.Outcome || clean(judged.Detail) != s.Detail {
		return fmt.Errorf("it %s (%s), and what was run %s (%s)", s.Outcome, s.Detail, judged.Outcome, clean(judged.Detail))
	}
	return nil
}
