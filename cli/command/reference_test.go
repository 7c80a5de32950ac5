package command

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blackdice/shipwarden/cli/exit"
)

var update = flag.Bool("update", false, "write golden files and docs/cli.md")

// TestReferenceIsCurrent compares docs/cli.md with the commands as they are.
func TestReferenceIsCurrent(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "cli.md")
	want := reference()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("docs/cli.md is not current; run this test with -update (-want +got):\n%s", diff)
	}
}

// TestEveryCommandIsExplained holds each command to the least that help needs.
func TestEveryCommandIsExplained(t *testing.T) {
	var explained func(*cobra.Command)
	explained = func(c *cobra.Command) {
		if c.Short == "" || c.Args == nil || !c.HasSubCommands() && !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s lacks a short text, an example, or says nothing of its arguments", c.CommandPath())
		}
		if strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short text %q ends with a period", c.CommandPath(), c.Short)
		}
		for _, sub := range c.Commands() {
			explained(sub)
		}
	}
	for _, c := range quiet().root.Commands() {
		if !c.Runnable() || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		if c.GroupID == "" {
			t.Errorf("%s is in no group", c.Name())
		}
		explained(c)
	}
}

func quiet() *app {
	return newApp(Process{Out: io.Discard, Err: io.Discard, Getenv: func(string) string { return "" }, Width: func() int { return 0 }})
}

// reference is docs/cli.md.
func reference() []byte {
	a := quiet()
	var out bytes.Buffer
	out.WriteString("# The command line\n\n" +
		"<!-- Written by `go test ./cli/command -run TestReference -update`. -->\n\n" +
		"`shipwarden` asks for releases, shows what becomes of them, and takes people's decisions.\n" +
		"Data goes to standard output, everything said about it to standard error. `-o json` and\n" +
		"`-o yaml` have the names of the contract (`proto/`). Text that came from others is escaped\n" +
		"before it reaches a terminal.\n\n")
	for _, g := range groups {
		fmt.Fprintf(&out, "- %s", strings.TrimSuffix(g.Title, ":"))
		for i, c := range inGroup(a, g.ID) {
			sep := ", "
			if i == 0 {
				sep = ": "
			}
			fmt.Fprintf(&out, "%s[%s](#%s)", sep, c.Name(), c.Name())
		}
		out.WriteString("\n")
	}
	fmt.Fprintf(&out, "\n## Settings\n\n```text\n%s\n```\n\n## Exit codes\n\n```text\n%s```\n", settingsTopic(), exit.Topic)
	for _, g := range groups {
		for _, c := range inGroup(a, g.ID) {
			section(&out, c)
		}
	}
	out.WriteString("\n## completion\n\n" +
		"Writes a completion script for bash, zsh, fish or PowerShell. Ids of releases are completed\n" +
		"by asking the recorder.\n\n```sh\nsource <(shipwarden completion bash)\n```\n")
	return out.Bytes()
}

func inGroup(a *app, id string) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range a.root.Commands() {
		if c.GroupID == id && c.Name() != "help" && c.Name() != "completion" {
			out = append(out, c)
		}
	}
	return out
}

func section(out *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(out, "\n## %s\n\n%s.\n", strings.TrimPrefix(c.CommandPath(), "shipwarden "), c.Short)
	if c.Long != "" {
		fmt.Fprintf(out, "\n%s\n", c.Long)
	}
	if c.Example != "" {
		fmt.Fprintf(out, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	if len(c.Aliases) > 0 {
		fmt.Fprintf(out, "\nAlso: `%s`.\n", strings.Join(c.Aliases, "`, `"))
	}
	var rows strings.Builder
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		byDefault := f.DefValue
		if byDefault == "[]" || byDefault == "false" {
			byDefault = ""
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", name, strings.ReplaceAll(f.Usage, "|", "\\|"), byDefault)
	})
	if rows.Len() > 0 {
		fmt.Fprintf(out, "\n| Flag | Meaning | Default |\n|---|---|---|\n%s", rows.String())
	}
	for _, sub := range c.Commands() {
		section(out, sub)
	}
}
