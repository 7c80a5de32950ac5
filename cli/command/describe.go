package command

import (
	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

func newDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "describe RELEASE",
		Short: "Tell everything about a release",
		Long: "Tells where a release stands and why: steps, gates, approvals given and missing,\n" +
			"what it waits for, targets, checks, escalations, and what can be done now.",
		Example:           "  shipwarden describe shop-k7q2m3xw5d8ta4bc",
		Args:              oneRelease,
		ValidArgsFunction: a.complete(false),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			client, done, err := a.recorder()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			answer, err := whole(ctx, client, &recorderv1.GetReleaseRequest{Release: args[0], Events: true})
			if err != nil {
				return exit.Call("describe "+args[0], err)
			}
			return show.Describe(a.out, answer.GetRelease(), answer.GetEvents())
		}),
	}
}
