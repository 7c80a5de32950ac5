package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

func newExplain(a *app) *cobra.Command {
	var f *form
	cmd := &cobra.Command{
		Use:   "explain RELEASE",
		Short: "Say what stands between a release and production now",
		Long: "Shows each step on the way: where the release is, what it waits for, who can act, until\n" +
			"when; what it weighs, fact by fact; and the earliest feasible start, with every freeze\n" +
			"before it and who set it.",
		Example:           "  shipwarden explain shop-k7q2m3xw5d8ta4bc",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.explain(cmd.Context(), args[0], f)
		}),
	}
	f = outputFlag(cmd, formTable, formJSON, formYAML)
	return cmd
}

func (a *app) explain(ctx context.Context, release string, f *form) error {
	client, done, err := a.approval()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.Explain(ctx, &approvalv1.ExplainRequest{Release: release})
	if err != nil {
		return exit.Call("explain "+release, err)
	}
	if done, err := a.message(f, answer); done || err != nil {
		return err
	}
	return show.Outlook(a.out, answer)
}
