package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/shape"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

// decision is a command that takes a release and a reason.
type decision struct {
	verb, short, long, done string
	call                    func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error
}

// newDecision makes the command. Its reason is on record for good, so there is no
// default for it.
func newDecision(a *app, d decision) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               d.verb + " RELEASE --reason TEXT",
		Short:             d.short,
		Long:              d.long,
		Example:           "  shipwarden " + d.verb + " shop-k7q2m3xw5d8ta4bc --reason 'why, for the record'",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := notBlank("reason", reason); err != nil {
				return err
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			if err := d.call(ctx, client, args[0], reason); err != nil {
				return exit.Call(d.verb+" "+args[0], err)
			}
			a.say("%s: %s", args[0], d.done)
			return nil
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it goes on record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func newPause(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "pause", short: "Keep a release from beginning anything new", done: "begins nothing new until it is resumed",
		long: `Keeps a release from its start, and from every wave after the one that is under way, until it
is resumed. What is under way goes on to its end. A way back, an abort and what people decide
of it are not kept. It has an end: what has not begun expires when its time to start is over,
and of what has begun people are called after as long as they have to decide. Of a release
that is paused already nothing changes: the answer says by whom, since when and why. The
reason of the second call is not on record then, and one resume ends the pause; so tell
whoever gave the first.`,
		call: func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
			answer, err := client.Pause(ctx, &approvalv1.PauseRequest{Release: release, Reason: reason})
			switch {
			case err != nil:
			case answer.GetAlready():
				a.say("%s: paused already, by %s since %s: %s\nNothing was stored, this reason neither; one resume ends the pause",
					release, answer.GetPausedBy(), terminal.Time(answer.GetSince()), terminal.Escape(answer.GetReason()))
			default:
				a.say("%s: paused by %s", release, answer.GetPausedBy())
			}
			return err
		},
	})
}

func newResume(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "resume", short: "Let a release go on that was paused", done: "goes on",
		long: "Lets a release go on that was paused. What else holds it is looked at then.",
		call: func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
			_, err := client.Resume(ctx, &approvalv1.ResumeRequest{Release: release, Reason: reason})
			return err
		},
	})
}

// notBlank refuses a text of blanks: it would be on record for good.
func notBlank(flag, text string) error {
	if shape.Blank(text) {
		return exit.Withf(exit.Usage, "--%s is blank: the record needs something that can be read", flag)
	}
	return nil
}

func newReject(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "reject", short: "Say no to a release, for good", done: "rejected",
		long: "Ends the release. A rejection is final; a mended change is a new request.",
		call: func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
			_, err := client.Reject(ctx, &approvalv1.RejectRequest{Release: release, Reason: reason})
			return err
		},
	})
}

func newWithdraw(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "withdraw", short: "Take a request back, until execution starts", done: "withdrawn",
		long: "Ends the release, by its owner or requester, as long as nothing was executed.",
		call: func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
			_, err := client.Withdraw(ctx, &approvalv1.WithdrawRequest{Release: release, Reason: reason})
			return err
		},
	})
}

func newWithdrawApproval(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "withdraw-approval", short: "Take an approval back, until execution starts", done: "your approval is taken back",
		long: "Takes the caller's own approval back, as long as nothing was executed.",
		call: func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
			_, err := client.WithdrawApproval(ctx, &approvalv1.WithdrawApprovalRequest{Release: release, Reason: reason})
			return err
		},
	})
}

func newCloseIncident(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "close-incident", short: "End the incident of a release that is over", done: "its incident is closed",
		long: `Ends what people were called for, by whoever was called, the owner of the release or an operator.
To take a call on says who looks after it, and ends nothing; what was damaged is over when a
person says so, with the reason that stands in the incident. Open calls are taken on with it.
A decision that ends an escalated release, such as accept, closes its incident as well.`,
		call: func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
			answer, err := client.CloseIncident(ctx, &approvalv1.CloseIncidentRequest{Release: release, Reason: reason})
			for _, c := range answer.GetCauses() {
				a.say("%s: %s is over", release, terminal.Word(c, "CAUSE_"))
			}
			return err
		},
	})
}

func newAbort(a *app) *cobra.Command {
	return newDecision(a, decision{
		verb: "abort", short: "Stop an executing release and roll it back", done: "will stop at the next safe point",
		long: "Stops an executing release at the next safe point and rolls back what was done.",
		call: func(ctx context.Context, client approvalv1.ApprovalServiceClient, release, reason string) error {
			_, err := client.Abort(ctx, &approvalv1.AbortRequest{Release: release, Reason: reason})
			return err
		},
	})
}
