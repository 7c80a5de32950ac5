// Command procdoc writes docs/procedure.md, the table of the procedure's steps, from
// procedure.Steps. A test of package procedure compares the two.
package main

import (
	"fmt"
	"os"

	"github.com/blackdice/shipwarden/procedure/procdoc/table"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: procdoc <file>")
		os.Exit(2)
	}
	if err := os.WriteFile(os.Args[1], []byte(table.Markdown()), 0o644); err != nil { //nolint:gosec // Documentation is for everybody.
		fmt.Fprintf(os.Stderr, "procdoc: %v\n", err)
		os.Exit(1)
	}
}
