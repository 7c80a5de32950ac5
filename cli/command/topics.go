package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/internal/service"
)

// newExitCodes is the help topic on exit codes.
func newExitCodes() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: strings.TrimSuffix(exit.Topic, "\n")}
}

// newSettingsTopic is the help topic on settings.
func newSettingsTopic() *cobra.Command {
	return &cobra.Command{Use: "settings", Short: "Where settings come from", Long: settingsTopic()}
}

func settingsTopic() string {
	var out strings.Builder
	out.WriteString(`A setting has one name everywhere: as a flag (--approval-url), as an environment
variable (SHIPWARDEN_APPROVAL_URL), and as a key of a context file (approval-url).
The flag goes before the variable, the variable before the file.

The context file is a strict YAML file: unknown keys are errors, and paths in it are
relative to its folder. It is the first of these:

  1. the file that --context names
  2. the file that SHIPWARDEN_CONFIG names
  3. .shipwarden/cli.yaml in the working folder, if it is there; it may name
     addresses of this machine only
  4. ~/.config/shipwarden/config.yaml, if it is there

Settings:

`)
	for _, s := range settings.All() {
		out.WriteString("  " + s.Name + strings.Repeat(" ", 20-len(s.Name)) + s.Usage + "\n")
	}
	out.WriteString(`
Files with tokens, passwords and keys must not be open to everyone on the machine.
NO_COLOR, set to anything, switches colors off.`)
	return out.String()
}

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Example: "  shipwarden version",
		Args:    cobra.NoArgs,
		RunE: a.run(func(*cobra.Command, []string) error {
			_, err := a.out.Write([]byte("shipwarden " + service.Build().String() + "\n"))
			return err
		}),
	}
}
