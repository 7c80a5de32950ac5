package command

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

func newQuarantine(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "See which artifacts are released nowhere any more, and let one out",
		Long: "An artifact that was taken back, or whose release failed its checks, is in quarantine:\n" +
			"no release of it gets through step 2, whatever its name, service or target. One\n" +
			"person asks for it to be let out, and another one, who did not ask for, own or\n" +
			"write the release that put it there, agrees.",
		Example: "  shipwarden quarantine list\n" +
			"  shipwarden quarantine clear sha256:3c9…f1 --reason 'the probe asked the wrong port'\n" +
			"  shipwarden quarantine clear sha256:3c9…f1 --confirm --reason 'seen the probe, INC-77'",
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newQuarantineList(a), newQuarantineClear(a))
	return cmd
}

func newQuarantineList(a *app) *cobra.Command {
	var limit int
	var all bool
	var output *form
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List artifacts in quarantine",
		Long:    "Lists artifacts in quarantine with who, when and why, the newest change first.",
		Example: "  shipwarden quarantine list --all -o wide",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			if err := checkLimit(limit); err != nil {
				return err
			}
			client, done, err := a.recorder()
			if err != nil {
				return err
			}
			defer done()
			found, more, err := a.quarantines(cmd.Context(), client, all, limit)
			if err != nil {
				return err
			}
			if more {
				a.say("there are more; --limit 0 gets all")
			}
			if done, err := a.message(output, found); done || err != nil {
				return err
			}
			if len(found.GetArtifacts()) == 0 {
				a.say("no artifacts")
				return nil
			}
			return show.Quarantines(a.out, found.GetArtifacts(), output.value == formWide)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that were let out")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many, 0 for all")
	output = outputFlag(cmd, formTable, formWide, formJSON, formYAML)
	return cmd
}

// quarantines asks page by page until the limit is reached, and reports whether there is
// more.
func (a *app) quarantines(ctx context.Context, client recorderv1.RecorderServiceClient, all bool, limit int) (*recorderv1.ListQuarantinesResponse, bool, error) {
	out := &recorderv1.ListQuarantinesResponse{}
	token := ""
	for {
		size := maxPage
		if limit > 0 {
			size = min(maxPage, limit-len(out.GetArtifacts()))
		}
		page, err := func() (*recorderv1.ListQuarantinesResponse, error) {
			ctx, cancel := a.call(ctx)
			defer cancel()
			return client.ListQuarantines(ctx, &recorderv1.ListQuarantinesRequest{All: all, PageSize: int32(size), PageToken: token}) //nolint:gosec // at most maxPage
		}()
		if err != nil {
			return nil, false, exit.Call("list quarantines", err)
		}
		out.Artifacts = append(out.Artifacts, page.GetArtifacts()...)
		if out.GetAsOfSequence() == 0 {
			out.AsOfSequence = page.GetAsOfSequence()
		}
		token = page.GetNextPageToken()
		if token == "" || limit > 0 && len(out.GetArtifacts()) >= limit {
			return out, token != "", nil
		}
	}
}

func newQuarantineClear(a *app) *cobra.Command {
	var reason string
	var confirm bool
	cmd := &cobra.Command{
		Use:   "clear DIGEST --reason TEXT",
		Short: "Ask for an artifact to be let out, or agree to it",
		Long: "Asks for an artifact to be let out of quarantine. With --confirm it agrees to what\n" +
			"somebody else asked for, and lets it out; what it stands at is shown first, and if that\n" +
			"changes meanwhile, nothing is let out.",
		Example: "  shipwarden quarantine clear sha256:3c9…f1 --reason 'the probe asked the wrong port'\n" +
			"  shipwarden quarantine clear sha256:3c9…f1 --confirm --reason 'seen the probe, INC-77'",
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := notBlank("reason", reason); err != nil {
				return err
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			if confirm {
				return a.confirmClearance(cmd.Context(), client, args[0], reason)
			}
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			if _, err := client.ProposeClearance(ctx, &approvalv1.ProposeClearanceRequest{Digest: args[0], Reason: reason}); err != nil {
				return exit.Call("quarantine clear "+args[0], err)
			}
			a.say("%s: asked for; somebody else has to agree with --confirm", args[0])
			return nil
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it goes on record")
	cmd.Flags().BoolVar(&confirm, "confirm", false, "agree to what somebody else asked for")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// confirmClearance shows what the artifact stands at, and agrees to exactly that.
func (a *app) confirmClearance(ctx context.Context, client approvalv1.ApprovalServiceClient, digest, comment string) error {
	recorder, done, err := a.recorder()
	if err != nil {
		return err
	}
	defer done()
	look, cancel := a.call(ctx)
	defer cancel()
	found, err := recorder.ListQuarantines(look, &recorderv1.ListQuarantinesRequest{Digest: digest, PageSize: 1})
	if err != nil {
		return exit.Call("quarantine clear "+digest, err)
	}
	if len(found.GetArtifacts()) == 0 {
		return exit.Withf(exit.Denied, "quarantine clear %s: it is not in quarantine", digest)
	}
	artifact := found.GetArtifacts()[0]
	a.say("%s", strings.Join(terminal.Lines(show.Standing(artifact)), "\n"))
	ctx, cancel = a.call(ctx)
	defer cancel()
	if _, err := client.ConfirmClearance(ctx, &approvalv1.ConfirmClearanceRequest{
		Digest: digest, Sequence: artifact.GetSequence(), Comment: comment,
	}); err != nil {
		return exit.Call("quarantine clear "+digest, err)
	}
	a.say("%s: let out of quarantine", digest)
	return nil
}
