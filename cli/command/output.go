package command

import (
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/cli/terminal"
)

// Forms of output.
const (
	formTable = "table"
	formWide  = "wide"
	formJSON  = "json"
	formYAML  = "yaml"
	formName  = "name"
)

// form is the value of --output.
type form struct {
	value string
	words []string
}

// outputFlag adds --output with these forms; the first is the default.
func outputFlag(cmd *cobra.Command, words ...string) *form {
	f := &form{words: words}
	usage := "form of the output: " + words[0]
	for _, w := range words[1:] {
		usage += "|" + w
	}
	cmd.Flags().StringVarP(&f.value, "output", "o", words[0], usage)
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return f
}

// check refuses words that are no form of this command.
func (f *form) check() error {
	if !slices.Contains(f.words, f.value) {
		return oneOf("output", f.value, f.words...)
	}
	return nil
}

// message writes a message as JSON or YAML and reports whether the form was one of them.
func (a *app) message(f *form, m proto.Message) (bool, error) {
	switch f.value {
	case formJSON:
		return true, terminal.WriteJSON(a.out, m)
	case formYAML:
		return true, terminal.WriteYAML(a.out, m)
	}
	return false, nil
}
