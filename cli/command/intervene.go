package command

import (
	"context"

	"github.com/spf13/cobra"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// intervene decides how a release goes on that waits for a person.
func intervene(action releasev1.Intervened_Action) func(context.Context, approvalv1.ApprovalServiceClient, string, string) error {
	return func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
		_, err := client.Intervene(ctx, &approvalv1.InterveneRequest{Release: release, Action: action, Reason: reason})
		return err
	}
}

func newRetry(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "retry", short: "Execute the wave of an escalated release again", done: "will be tried again",
		long: "Executes the wave of an escalated release again.",
		call: intervene(releasev1.Intervened_ACTION_RETRY),
	})
}

func newRollback(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "rollback", short: "Roll an escalated release back", done: "will be rolled back",
		long: "Rolls an escalated release back, or tries again to.",
		call: intervene(releasev1.Intervened_ACTION_ROLL_BACK),
	})
}

func newAccept(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "accept", short: "Leave an escalated release as it is", done: "accepted as it is",
		long: "Leaves an escalated release as it is, with the reason on record.",
		call: intervene(releasev1.Intervened_ACTION_ACCEPT),
	})
}

func newConfirm(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "confirm", short: "Say that an effect of unknown outcome did happen", done: "confirmed",
		long: "Says that an effect whose outcome was unknown did happen: the release goes on.",
		call: intervene(releasev1.Intervened_ACTION_CONFIRM_DONE),
	})
}
