package command

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/shape"
	"github.com/blackdice/shipwarden/internal/standing"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	service "github.com/blackdice/shipwarden/services/approval"
	"github.com/blackdice/shipwarden/services/approval/amend"
)

func newActivateFirst(a *app) *cobra.Command {
	var config, file string
	var how amend.Administrative
	c := &cobra.Command{
		Use:   "activate --config FILE --reason TEXT",
		Short: "Put the first procedure document into effect",
		Long: "Puts the first procedure document into effect, by the configuration of the approval\n" +
			"service and with its key. From then on the document is changed by a proposal that\n" +
			"somebody else approves (shipwarden procedure).\n\n" +
			"With --override it goes around that, where nobody can go the right way any more: the\n" +
			"people who approve have left, or the document in effect is broken. A document of\n" +
			"another id needs it as well, where any is in effect. That is on record\n" +
			"as what it is, with the reason, and voids every open proposal. A review of it is owed\n" +
			"by somebody else than --as says, which must be given with --override, and blocks planned\n" +
			"releases when it is overdue. The service need not run, and need not be restarted.",
		Example: "  shipwarden admin activate --config /etc/shipwarden/approval.yaml --reason 'go-live'\n" +
			"  shipwarden admin activate --config approval.yaml -f mended.yaml --override --as dave --reason 'INC-4711: the board has left'",
		Args: cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := notBlank("reason", how.Reason); err != nil {
				return err
			}
			if how.Override && shape.Blank(how.ClaimedBy) {
				return exit.Withf(exit.Usage, "--as: with --override, say who you are: the review that is owed of it is somebody else's")
			}
			if len(how.Reason) > 1024 || len(how.ClaimedBy) > 128 {
				return exit.Withf(exit.Usage, "--reason may have 1024 bytes, and --as 128")
			}
			cfg, err := service.LoadForAdministrator(config)
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			active, changed, err := service.Activate(ctx, cfg, file, how)
			switch {
			case errors.Is(err, amend.ErrInEffect):
				return exit.Withf(exit.Denied, "%v\n  propose the other one with `shipwarden procedure propose`; --override goes around that", err)
			case err != nil:
				return exit.With(exit.Failed, err)
			case !changed:
				a.say("version %s is in effect already (%s)", active.Version, active.Digest)
			default:
				a.say("version %s is in effect (%s)", active.Version, active.Digest)
			}
			if owed(active) {
				a.say("a review of it is owed: shipwarden procedure list")
			}
			return nil
		}),
	}
	f := c.Flags()
	f.StringVar(&config, "config", "", "configuration file of the approval service")
	f.StringVarP(&file, "file", "f", "", "procedure document (default: that of the configuration)")
	f.StringVar(&how.Reason, "reason", "", "why; it goes on record")
	f.StringVar(&how.ClaimedBy, "as", "", "who you are, needed with --override; it goes on record as your word, which nobody checks")
	f.BoolVar(&how.Override, "override", false, "take the place of a document in effect, of this id or another, without anybody's approval")
	for _, name := range []string{"config", "reason"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

// owed reports whether a review is owed of the document in effect.
func owed(active standing.Procedure) bool {
	return slices.ContainsFunc(active.Document.Standing.GetDebts(), func(d *releasev1.ProcedureDebt) bool { return d.GetDigest() == active.Digest })
}
