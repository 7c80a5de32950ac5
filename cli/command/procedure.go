package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/connect"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

func newProcedure(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "procedure",
		Short: "Change the procedure document: propose, approve, activate",
		Long: "The procedure document is changed like production is: somebody proposes another one,\n" +
			"somebody else approves it, and then it is activated. Who may is said by the document\n" +
			"in effect. Releases that are under way finish under the document with which they\n" +
			"began.",
		Example: "  shipwarden procedure propose -f procedure.yaml --reason 'a third data center'\n" +
			"  shipwarden procedure approve 7\n" +
			"  shipwarden procedure activate 7",
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newProcedureList(a), newProcedureShow(a), newProcedureDiff(a), newProcedurePropose(a), newProcedureApprove(a),
		newProcedureReject(a), newProcedureWithdraw(a), newProcedureActivate(a), newProcedureReview(a), newProcedureHistory(a))
	return cmd
}

// procedures returns a client of the service that changes the document, and what closes
// it.
func (a *app) procedures() (approvalv1.ProcedureServiceClient, func(), error) {
	s, err := a.settings()
	if err != nil {
		return nil, nil, err
	}
	bearer, err := a.bearer(s)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connect.GRPC(s, "approval-url", s.ApprovalURL, bearer)
	if err != nil {
		return nil, nil, err
	}
	return approvalv1.NewProcedureServiceClient(conn), func() { _ = conn.Close() }, nil
}

// about runs something with a client and the bounds of one call.
func (a *app) about(ctx context.Context, do func(context.Context, approvalv1.ProcedureServiceClient) error) error {
	client, done, err := a.procedures()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := a.call(ctx)
	defer cancel()
	return do(ctx, client)
}

// proposalNumber reads the number of a proposal.
func proposalNumber(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, exit.Withf(exit.Usage, "%q is no number of a proposal: shipwarden procedure list has them", text)
	}
	return uint32(n), nil
}

func newProcedureList(a *app) *cobra.Command {
	var output *form
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "Say which document is in effect, and list reviews that are owed and open proposals",
		Example: "  shipwarden procedure list",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			return a.about(cmd.Context(), func(ctx context.Context, client approvalv1.ProcedureServiceClient) error {
				answer, err := client.GetProcedure(ctx, &approvalv1.GetProcedureRequest{})
				if err != nil {
					return exit.Call("procedure list", err)
				}
				if done, err := a.message(output, answer); done || err != nil {
					return err
				}
				a.say("%s version %s is in effect (%s)", terminal.Escape(answer.GetProcedure()),
					terminal.Escape(answer.GetStanding().GetVersion()), terminal.Escape(answer.GetStanding().GetDigest()))
				if owed := answer.GetStanding().GetDebts(); len(owed) > 0 {
					a.say("\nreviews are owed of documents that took effect around the change control; overdue, they block planned releases:")
					if err := show.Debts(a.out, owed); err != nil {
						return err
					}
					a.say("")
				}
				if len(answer.GetStanding().GetProposals()) == 0 {
					a.say("no proposal is open")
					return nil
				}
				return show.Proposals(a.out, answer.GetStanding().GetProposals())
			})
		}),
	}
	output = outputFlag(cmd, formTable, formJSON, formYAML)
	return cmd
}

// look gets a proposal with all that is known of it.
func (a *app) look(ctx context.Context, what string, number uint32) (*approvalv1.GetProposalResponse, error) {
	var out *approvalv1.GetProposalResponse
	err := a.about(ctx, func(ctx context.Context, client approvalv1.ProcedureServiceClient) (err error) {
		out, err = client.GetProposal(ctx, &approvalv1.GetProposalRequest{Number: number})
		return exit.Call(what, err)
	})
	return out, err
}

func newProcedureShow(a *app) *cobra.Command {
	var output *form
	var last *int
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show a proposal: what it changes, whose rights it widens, who approved",
		Long: "Shows an open proposal: why it was made, whose own rights it widens, what it demands\n" +
			"less of, the difference line by line, and who has approved it. With --last it also says\n" +
			"which of the newest releases would have been answered otherwise under it.",
		Example: "  shipwarden procedure show 7\n  shipwarden procedure show 7 --last 200",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			number, err := proposalNumber(args[0])
			if err == nil {
				err = checkLast(*last)
			}
			if err != nil {
				return err
			}
			what := "procedure show " + args[0]
			p, err := a.look(cmd.Context(), what, number)
			if err != nil {
				return err
			}
			if done, err := a.message(output, p); done || err != nil {
				return err
			}
			if err := show.Proposal(a.out, p); err != nil {
				return err
			}
			return a.compareProposed(cmd.Context(), what, p.GetProposal().GetDigest(), *last)
		}),
	}
	last = lastFlag(cmd.Flags())
	output = outputFlag(cmd, formTable, formJSON, formYAML)
	return cmd
}

func newProcedureDiff(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "diff [NUMBER]",
		Short: "Show what a proposal, or a file, changes in the document in effect",
		Long: "Prints the difference between the document in effect and a proposed one, line by\n" +
			"line; with -f that of a file which nobody has proposed yet, after it was checked as a\n" +
			"proposal is.",
		Example: "  shipwarden procedure diff 7\n  shipwarden procedure diff -f procedure.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if (file == "") == (len(args) == 0) {
				return exit.Withf(exit.Usage, "procedure diff: give the number of a proposal, or a file with -f")
			}
			var assessment *approvalv1.Assessment
			if file != "" {
				answer, err := a.propose(cmd.Context(), file, "", &approvalv1.ProposeRequest{DryRun: true})
				if err != nil {
					return err
				}
				assessment = answer.GetAssessment()
			} else {
				number, err := proposalNumber(args[0])
				if err != nil {
					return err
				}
				answer, err := a.look(cmd.Context(), "procedure diff "+args[0], number)
				if err != nil {
					return err
				}
				assessment = answer.GetAssessment()
			}
			for _, line := range terminal.Lines(assessment.GetDiff()) {
				fmt.Fprintln(a.out, line)
			}
			return nil
		}),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "procedure document that is not proposed yet")
	return cmd
}

// propose sends a file, with what the request has besides.
func (a *app) propose(ctx context.Context, file, root string, r *approvalv1.ProposeRequest) (*approvalv1.ProposeResponse, error) {
	data, name, err := a.readFile(file)
	if err != nil {
		return nil, exit.With(exit.Usage, err)
	}
	r.Document, r.Filename = data, filepath.Base(name)
	if root != "" {
		if r.TrustedRoot, err = os.ReadFile(root); err != nil {
			return nil, exit.With(exit.Usage, fmt.Errorf("--sigstore-root: %w", err))
		}
	}
	if len(r.GetDocument()) > maxDocument || len(r.GetTrustedRoot()) > maxDocument {
		return nil, exit.With(exit.Usage, fmt.Errorf("%s: %w: a document may have %d bytes", name, errLong, maxDocument))
	}
	var out *approvalv1.ProposeResponse
	err = a.about(ctx, func(ctx context.Context, client approvalv1.ProcedureServiceClient) (err error) {
		out, err = client.Propose(ctx, r)
		return exit.Call("propose "+name, err)
	})
	for _, w := range out.GetWarnings() {
		a.say("warning: %s", terminal.Escape(w))
	}
	return out, err
}

// maxDocument is how large a document may be that is proposed.
const maxDocument = 256 << 10

var errLong = errors.New("too long")

func newProcedurePropose(a *app) *cobra.Command {
	var file, root string
	var last *int
	r := &approvalv1.ProposeRequest{}
	cmd := &cobra.Command{
		Use:   "propose -f FILE --reason TEXT",
		Short: "Propose another document",
		Long: "Proposes that a document takes the place of the one in effect. It is checked as\n" +
			"`shipwarden lint` checks it. The proposal is void when another one takes effect first.",
		Example: "  shipwarden procedure propose -f procedure.yaml --reason 'a third data center'\n" +
			"  shipwarden procedure propose -f procedure.yaml --dry-run --last 200",
		Args: cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := checkLast(*last); err != nil {
				return err
			}
			if !r.GetDryRun() {
				if err := notBlank("reason", r.GetReason()); err != nil {
					return err
				}
			}
			if r.GetBaseDigest() != "" && !digestPattern.MatchString(r.GetBaseDigest()) {
				return exit.Withf(exit.Usage, "--base %q: must be sha256: and 64 lower-case hexadecimal digits", r.GetBaseDigest())
			}
			answer, err := a.propose(cmd.Context(), file, root, r)
			if err != nil {
				return err
			}
			if err := show.Assessment(a.out, answer.GetAssessment()); err != nil {
				return err
			}
			if *last > 0 && r.GetDryRun() {
				if err := a.compareWith(cmd.Context(), "procedure propose", r.GetDocument(), *last); err != nil {
					return err
				}
			}
			p := answer.GetProposal()
			if r.GetDryRun() {
				a.say("\nnothing was proposed")
				return nil
			}
			a.say("\nproposal %d: version %s needs %d of %s until %s", p.GetNumber(), terminal.Escape(p.GetVersion()),
				p.GetQuorum().GetCount(), terminal.Escape(p.GetQuorum().GetGroup()), terminal.Time(p.GetExpires()))
			if *last > 0 {
				return a.compareWith(cmd.Context(), "procedure propose", r.GetDocument(), *last)
			}
			return nil
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "procedure document; - for standard input")
	f.StringVar(&r.Reason, "reason", "", "why; it goes on record")
	f.StringVar(&r.BaseDigest, "base", "", "digest of the document that it was made from; refused where another one is in effect")
	f.StringVar(&root, "sigstore-root", "", "trusted root that its section sigstore names, where that is a new one")
	f.BoolVar(&r.DryRun, "dry-run", false, "only look: nothing is proposed")
	last = lastFlag(f)
	_ = cmd.MarkFlagRequired("file")
	return cmd
}
