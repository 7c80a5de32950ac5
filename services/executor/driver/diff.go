package driver

import (
	"crypto/sha256"
	"fmt"
)

// Diff is what a tool of the target's own says that Apply would change. People approve by
// it, so it must say everything, and the same each time.
type Diff struct {
	// Asked says that a tool is configured.
	Asked bool
	// Text is what it printed, without what looks like a secret, at most 1 MiB and a line
	// that says what was left out, with the digest of all of it.
	Text string
	// Last is the last line of it, fit for a message.
	Last string
	// LeftOut says that it printed more than is in Text.
	LeftOut bool
	// Failed says in one line why it gave no answer; "" where it did.
	Failed string
	// Busy says that it gave none because somebody else is at work just now: it may give one a
	// little later.
	Busy bool
}

// Digest is the SHA-256 of the text, "sha256:…"; "" where there is no answer.
func (d Diff) Digest() string {
	if !d.Asked || d.Failed != "" {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(d.Text)))
}
