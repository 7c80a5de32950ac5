package argv

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"
	"unicode"
)

// MaxOutput is how much of an output is kept: half of it from the beginning, half
// from the end.
const MaxOutput = 1 << 20

const (
	half = MaxOutput / 2
	// A cut falls on the end of a line where one is near, so that no secret is
	// split into halves that nobody recognizes.
	nearLine = 8 << 10
)

// Output is what a command printed.
type Output struct {
	// Text is the output without secrets, at most MaxOutput and a line that says
	// what was left out.
	Text []byte
	// Total is how many bytes were printed.
	Total int64
	// Digest is the SHA-256 of all of it as printed, "sha256:…".
	Digest string
	// Redacted counts the secrets that were removed from Text.
	Redacted int
}

// LastLine is the last line with anything in it, fit for a message: printable, at
// most 256 bytes.
func (o Output) LastLine() string {
	lines := strings.Split(strings.TrimSpace(string(o.Text)), "\n")
	line := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(lines[len(lines)-1], ""))
	if len(line) > 256 {
		line = strings.ToValidUTF8(line[:253], "") + "…"
	}
	return line
}

// collector keeps the head and the tail of what is written to it, in bounded
// memory.
type collector struct {
	mu    sync.Mutex
	head  []byte
	tail  []byte // a ring once it is full
	next  int
	total int64
	sum   hash.Hash
}

func newCollector() *collector { return &collector{sum: sha256.New()} }

func (c *collector) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	c.total += int64(n)
	c.sum.Write(p)
	room := min(half-len(c.head), len(p))
	c.head = append(c.head, p[:room]...)
	p = p[room:]
	if len(p) > half {
		p = p[len(p)-half:]
	}
	grow := min(half-len(c.tail), len(p))
	c.tail = append(c.tail, p[:grow]...)
	for p = p[grow:]; len(p) > 0; {
		k := copy(c.tail[c.next:], p)
		c.next = (c.next + k) % len(c.tail)
		p = p[k:]
	}
	return n, nil
}

func (c *collector) output() Output {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := bytes.Clone(c.head)
	tail := append(bytes.Clone(c.tail[c.next:]), c.tail[:c.next]...)
	o := Output{Total: c.total, Digest: "sha256:" + hex.EncodeToString(c.sum.Sum(nil))}
	if c.total <= MaxOutput {
		o.Text, o.Redacted = Redact(append(head, tail...))
		return o
	}
	if i := bytes.LastIndexByte(head[len(head)-nearLine:], '\n'); i >= 0 {
		head = head[:len(head)-nearLine+i+1]
	} else {
		head = head[:len(head)-nearLine]
	}
	if i := bytes.IndexByte(tail[:nearLine], '\n'); i >= 0 {
		tail = tail[i+1:]
	} else {
		tail = tail[nearLine:]
	}
	left := c.total - int64(len(head)) - int64(len(tail))
	// Apart: a secret whose beginning is in one and whose end is in the other must
	// not take what lies between them for its own.
	head, a := Redact(head)
	tail, b := Redact(tail)
	o.Text = fmt.Appendf(head, "\n[%d bytes left out; all of it is %s]\n", left, o.Digest)
	o.Text, o.Redacted = append(o.Text, tail...), a+b
	return o
}

// Collector is a writer that keeps of what is written to it what a command's output keeps, in
// bounded memory. It is safe for concurrent use.
type Collector struct{ inner *collector }

// NewCollector has nothing yet.
func NewCollector() Collector { return Collector{newCollector()} }

// Write implements io.Writer; it never fails.
func (c Collector) Write(p []byte) (int, error) { return c.inner.Write(p) }

// Output is what was written so far.
func (c Collector) Output() Output { return c.inner.output() }

// Cut is what is kept of a text, as if a command had printed it.
func Cut(text []byte) Output {
	c := newCollector()
	_, _ = c.Write(text)
	return c.output()
}
