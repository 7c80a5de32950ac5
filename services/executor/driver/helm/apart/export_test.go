package apart

import (
	"bytes"
	"runtime"
)

// File is what the chart has made by a name.
func (m Made) File(name string) string { return string(m.files[name]) }

// Waiting is how many wait for their turn.
func Waiting() (n int) {
	text := make([]byte, 1<<20)
	text = text[:runtime.Stack(text, true)]
	for one := range bytes.SplitSeq(text, []byte("\n\n")) {
		head, _, _ := bytes.Cut(one, []byte("\n"))
		if bytes.Contains(one, []byte("apart.take(")) && bytes.Contains(head, []byte("[select")) {
			n++
		}
	}
	return n
}
