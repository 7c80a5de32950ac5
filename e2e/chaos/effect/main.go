// Command effect is what the command driver runs in a chaos run: it writes one line
// into a target's ledger, so that somebody can count how often it was run.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	ledger := flag.String("ledger", "", "file to append to")
	line := map[string]any{"time": time.Now().UTC()}
	for _, name := range []string{"target", "action", "version", "digest", "artifact"} {
		flag.Func(name, "what to write", func(v string) error { line[name] = v; return nil })
	}
	flag.Parse()
	if err := write(*ledger, line); err != nil {
		fmt.Fprintln(os.Stderr, "effect:", err)
		os.Exit(1)
	}
}

func write(path string, line map[string]any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644) //nolint:gosec // For whoever counts.
	if err != nil {
		return err
	}
	if _, err := file.Write(append(text, '\n')); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close()
}
