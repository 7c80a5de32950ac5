package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

func newProcedureApprove(a *app) *cobra.Command {
	v := &approval{}
	var last *int
	cmd := &cobra.Command{
		Use:   "approve NUMBER",
		Short: "Approve a proposal, after a look at it",
		Long: "Shows what `procedure show` shows, and asks. The approval is for exactly the document\n" +
			"that was shown. Nobody approves what they proposed.\n\n" +
			"Without a terminal, --digest names the document that was looked at elsewhere.",
		Example: "  shipwarden procedure approve 7 --comment 'as agreed on Monday'\n" +
			"  shipwarden procedure approve 7 --digest sha256:…",
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			number, err := proposalNumber(args[0])
			if err == nil {
				err = checkLast(*last)
			}
			if err != nil {
				return err
			}
			return a.approveProposal(cmd.Context(), "procedure approve "+args[0], number, *last, v)
		}),
	}
	last = lastFlag(cmd.Flags())
	cmd.Flags().StringVar(&v.digest, "digest", "", "digest of the document that is approved; any other is refused")
	cmd.Flags().StringVar(&v.comment, "comment", "", "what to say about it")
	return cmd
}

func (a *app) approveProposal(ctx context.Context, what string, number uint32, last int, v *approval) error {
	if v.digest != "" && !digestPattern.MatchString(v.digest) {
		return exit.Withf(exit.Usage, "--digest %q: must be sha256: and 64 lower-case hexadecimal digits", v.digest)
	}
	if v.digest == "" && !a.process.InTerminal {
		return exit.Withf(exit.Usage, "%s: nobody to ask here: give --digest with the document that was looked at", what)
	}
	p, err := a.look(ctx, what, number)
	if err != nil {
		return err
	}
	if err := show.Proposal(a.out, p); err != nil {
		return err
	}
	digest := p.GetProposal().GetDigest()
	if err := a.compareProposed(ctx, what, digest, last); err != nil {
		return err
	}
	switch {
	case !p.GetMayApprove():
		return exit.Withf(exit.Denied, "%s: you may not: %s", what, terminal.Escape(p.GetMayNotReason()))
	case v.digest != "" && v.digest != digest:
		return exit.Withf(exit.Denied, "%s: it is %s, not %s: look again", what, terminal.Escape(digest), v.digest)
	case v.digest == "" && !a.confirm(ctx, "\nApprove this document?"):
		return exit.Withf(exit.Failed, "not approved")
	}
	return a.about(ctx, func(ctx context.Context, client approvalv1.ProcedureServiceClient) error {
		answer, err := client.ApproveProposal(ctx, &approvalv1.ApproveProposalRequest{Number: number, Digest: digest, Comment: v.comment})
		if err != nil {
			return exit.Call(what, err)
		}
		if missing := answer.GetMissing(); missing > 0 {
			a.say("\napproved; still missing: %d", missing)
			return nil
		}
		a.say("\napproved; it can be activated: shipwarden procedure activate %d", number)
		return nil
	})
}

// change is a command that takes the number of a proposal and a reason.
type change struct {
	verb, short, long string
	call              func(context.Context, approvalv1.ProcedureServiceClient, uint32, string) (done string, err error)
}

func newChange(a *app, c change) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     c.verb + " NUMBER --reason TEXT",
		Short:   c.short,
		Long:    c.long,
		Example: "  shipwarden procedure " + c.verb + " 7 --reason 'why, for the record'",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := notBlank("reason", reason); err != nil {
				return err
			}
			number, err := proposalNumber(args[0])
			if err != nil {
				return err
			}
			return a.about(cmd.Context(), func(ctx context.Context, client approvalv1.ProcedureServiceClient) error {
				done, err := c.call(ctx, client, number, reason)
				if err != nil {
					return exit.Call("procedure "+c.verb+" "+args[0], err)
				}
				a.say("proposal %d: %s", number, done)
				return nil
			})
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it goes on record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func newProcedureReject(a *app) *cobra.Command {
	return newChange(a, change{
		verb: "reject", short: "Say no to a proposal, for good",
		long: "Ends a proposal, by somebody who might have approved it. A mended document is a new\nproposal.",
		call: func(ctx context.Context, client approvalv1.ProcedureServiceClient, number uint32, reason string) (string, error) {
			_, err := client.RejectProposal(ctx, &approvalv1.RejectProposalRequest{Number: number, Reason: reason})
			return "rejected", err
		},
	})
}

func newProcedureWithdraw(a *app) *cobra.Command {
	return newChange(a, change{
		verb: "withdraw", short: "Take your own proposal back, or your approval of one",
		long: "Ends the caller's own proposal. Of somebody else's proposal it takes the caller's\napproval back.",
		call: func(ctx context.Context, client approvalv1.ProcedureServiceClient, number uint32, reason string) (string, error) {
			answer, err := client.WithdrawProposal(ctx, &approvalv1.WithdrawProposalRequest{Number: number, Reason: reason})
			if answer.GetClosed() {
				return "withdrawn", err
			}
			return "your approval is taken back", err
		},
	})
}

func newProcedureActivate(a *app) *cobra.Command {
	var digest string
	cmd := &cobra.Command{
		Use:   "activate NUMBER",
		Short: "Put a document into effect that enough people approved",
		Long: "Puts a proposed document into effect, by its proposer or somebody who may approve. It\n" +
			"voids every other proposal. Releases that are under way finish under the document\n" +
			"with which they began.",
		Example: "  shipwarden procedure activate 7",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			number, err := proposalNumber(args[0])
			if err != nil {
				return err
			}
			if digest != "" && !digestPattern.MatchString(digest) {
				return exit.Withf(exit.Usage, "--digest %q: must be sha256: and 64 lower-case hexadecimal digits", digest)
			}
			what := "procedure activate " + args[0]
			if digest == "" {
				p, err := a.look(cmd.Context(), what, number)
				if err != nil {
					return err
				}
				digest = p.GetProposal().GetDigest()
			}
			return a.about(cmd.Context(), func(ctx context.Context, client approvalv1.ProcedureServiceClient) error {
				answer, err := client.ActivateProposal(ctx, &approvalv1.ActivateProposalRequest{Number: number, Digest: digest})
				if err != nil {
					return exit.Call(what, err)
				}
				a.say("version %s is in effect (%s)", terminal.Escape(answer.GetVersion()), terminal.Escape(answer.GetDigest()))
				for _, n := range answer.GetVoided() {
					a.say("proposal %d is void: it was made against the document before", n)
				}
				return nil
			})
		}),
	}
	cmd.Flags().StringVar(&digest, "digest", "", "digest of the document that is to take effect (default: whichever is proposed under the number)")
	return cmd
}

func newProcedureHistory(a *app) *cobra.Command {
	var procedureID string
	var limit int
	var output *form
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List how the document came to be as it is, from the record",
		Long: "Lists what was proposed, approved, rejected and activated, by whom and why, the newest\n" +
			"first. It is asked of the recorder. `shipwarden evidence` gets a document or an\n" +
			"assessment by its digest.",
		Example: "  shipwarden procedure history\n  shipwarden procedure history -o json",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			if err := checkLimit(limit); err != nil {
				return err
			}
			all, more, err := a.procedureChanges(cmd.Context(), procedureID, limit)
			if err != nil {
				return err
			}
			if more {
				a.say("there are more; --limit 0 gets all")
			}
			if done, err := a.message(output, all); done || err != nil {
				return err
			}
			if len(all.GetChanges()) == 0 {
				a.say("no procedure document was ever in effect")
				return nil
			}
			return show.ProcedureChanges(a.out, all.GetChanges(), output.value == formWide)
		}),
	}
	cmd.Flags().StringVar(&procedureID, "procedure", "", "only this procedure, for instance PROC-DEPLOY-001")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many, 0 for all")
	output = outputFlag(cmd, formTable, formWide, formJSON, formYAML)
	return cmd
}

// procedureChanges asks page by page until the limit is reached, and reports whether
// there is more.
func (a *app) procedureChanges(ctx context.Context, procedureID string, limit int) (*recorderv1.ListProcedureChangesResponse, bool, error) {
	client, done, err := a.recorder()
	if err != nil {
		return nil, false, err
	}
	defer done()
	out := &recorderv1.ListProcedureChangesResponse{}
	for token := ""; ; {
		size := maxPage
		if limit > 0 {
			size = min(maxPage, limit-len(out.GetChanges()))
		}
		page, err := func() (*recorderv1.ListProcedureChangesResponse, error) {
			ctx, cancel := a.call(ctx)
			defer cancel()
			return client.ListProcedureChanges(ctx, &recorderv1.ListProcedureChangesRequest{
				Procedure: procedureID, PageSize: int32(size), PageToken: token, //nolint:gosec // at most maxPage
			})
		}()
		if err != nil {
			return nil, false, exit.Call("procedure history", err)
		}
		out.Changes, out.AsOfSequence = append(out.Changes, page.GetChanges()...), max(out.GetAsOfSequence(), page.GetAsOfSequence())
		if token = page.GetNextPageToken(); token == "" || limit > 0 && len(out.GetChanges()) >= limit {
			return out, token != "", nil
		}
	}
}
