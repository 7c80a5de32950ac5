package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/submit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Kinds of documents that lint knows.
const (
	kindAuto      = "auto"
	kindRelease   = "release"
	kindProcedure = "procedure"
)

func newLint(a *app) *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Check release and procedure files without a server",
		Long: "Checks requests for releases and procedure documents, as far as that can be done\n" +
			"without a server, and prints everything that is wrong, with file, line and column.\n" +
			"What a file is, is told by its keys.",
		Example: "  shipwarden lint release.yaml procedure.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: a.run(func(_ *cobra.Command, args []string) error {
			if !slices.Contains([]string{kindAuto, kindRelease, kindProcedure}, kind) {
				return oneOf("kind", kind, kindAuto, kindRelease, kindProcedure)
			}
			code := exit.OK
			for _, file := range args {
				code = max(code, a.lint(file, kind))
			}
			return exit.Silently(code)
		}),
	}
	cmd.Flags().StringVar(&kind, "kind", kindAuto, "what the files are: auto|release|procedure")
	return cmd
}

// lint checks one file and returns the code: a file that cannot be read is worse
// than one that is wrong.
func (a *app) lint(file, kind string) int {
	data, name, err := a.readFile(file)
	if err != nil {
		a.say("shipwarden: %v", err)
		return exit.Usage
	}
	if kind == kindAuto {
		kind = detect(data)
	}
	if kind == kindProcedure {
		_, err = policy.ParseAt(data, name, time.Now())
	} else {
		_, err = submit.Load(data, name, nil)
	}
	if err == nil {
		fmt.Fprintf(a.out, "%s: in order (%s)\n", name, kind)
		return exit.OK
	}
	fmt.Fprintf(a.out, "%s: not in order (%s)\n", name, kind)
	for _, line := range terminal.Lines(faults(err)) {
		fmt.Fprintln(a.out, line)
	}
	return exit.Failed
}

// faults is the text of the error without the words that say only that it is one.
func faults(err error) string {
	text := err.Error()
	for _, head := range []error{policy.ErrInvalid} {
		if errors.Is(err, head) {
			text = strings.TrimPrefix(text, head.Error()+": ")
		}
	}
	_, rest, ok := strings.Cut(text, "\n")
	if ok && strings.HasPrefix(text, "invalid document\n") {
		return rest
	}
	return text
}

// detect tells what a document is by which contract knows more of its keys.
func detect(data []byte) string {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return kindRelease
	}
	release, procedure := 0, 0
	keys := root.Content[0].Content
	for i := 0; i+1 < len(keys); i += 2 {
		if knows((&releasev1.Request{}).ProtoReflect().Descriptor(), keys[i].Value) {
			release++
		}
		if knows((&policyv1.Procedure{}).ProtoReflect().Descriptor(), keys[i].Value) {
			procedure++
		}
	}
	if procedure > release {
		return kindProcedure
	}
	return kindRelease
}

func knows(m protoreflect.MessageDescriptor, key string) bool {
	return m.Fields().ByJSONName(key) != nil || m.Fields().ByTextName(key) != nil
}
