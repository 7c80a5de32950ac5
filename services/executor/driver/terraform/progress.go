package terraform

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
)

// step is a line by which Terraform says how far it is with a resource: its address, what is done,
// and behind that, in brackets, what its id is.
var step = regexp.MustCompile(`^((?:[^\s"\[]|\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\])+: ` +
	`(?:Creat|Modif|Destr|Replac|Import|Read|Refresh|Still |Provisioning with)[^\[\n]*)`)

// progress lets through what Terraform says of resources, and of all of them at the end. What it
// prints besides are values: ids, outputs, and whatever provisioners print. It is given whole
// lines, as package tfexec writes them.
type progress struct{ to io.Writer }

func (p progress) Write(text []byte) (int, error) {
	for line := range bytes.Lines(text) {
		said := step.Find(line)
		if bytes.HasPrefix(line, []byte("Apply complete! ")) {
			said = bytes.TrimRight(line, "\n")
		}
		if said == nil {
			continue
		}
		if _, err := fmt.Fprintf(p.to, "%s\n", bytes.TrimRight(said, " ")); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}
