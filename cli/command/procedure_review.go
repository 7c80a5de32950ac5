package command

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// documentResults are the words for the findings of a review of a document: those of the
// review of an emergency.
var documentResults = map[string]releasev1.ProcedureReviewed_Result{
	"justified":               releasev1.ProcedureReviewed_RESULT_JUSTIFIED,
	"justified-with-findings": releasev1.ProcedureReviewed_RESULT_JUSTIFIED_WITH_FINDINGS,
	"not-justified":           releasev1.ProcedureReviewed_RESULT_NOT_JUSTIFIED,
}

func newProcedureReview(a *app) *cobra.Command {
	var result, reason, digest string
	cmd := &cobra.Command{
		Use:   "review NUMBER --result RESULT --reason TEXT",
		Short: "Review a document that an administrator put into effect",
		Long: "Pays the review that is owed of a document which took effect around the change\n" +
			"control (shipwarden admin activate --override): whether that was justified, and why.\n" +
			"`procedure list` has the numbers. Members of the group that reviews emergencies by\n" +
			"the document before give it, and not who forced it. The document stays in effect,\n" +
			"whatever is found.\n\n" +
			"With --digest any other document than the one that was looked at is refused.",
		Example: "  shipwarden procedure review 1 --result justified-with-findings \\\n" +
			"    --reason 'the board had left; the gate tests was lost and is proposed again'",
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			number, err := proposalNumber(args[0])
			if err != nil {
				return err
			}
			found, ok := documentResults[result]
			if !ok {
				return oneOf("result", result, "justified", "justified-with-findings", "not-justified")
			}
			if err := notBlank("reason", reason); err != nil {
				return err
			}
			if digest != "" && !digestPattern.MatchString(digest) {
				return exit.Withf(exit.Usage, "--digest %q: must be sha256: and 64 lower-case hexadecimal digits", digest)
			}
			r := &approvalv1.ReviewDocumentRequest{Number: number, Digest: digest, Result: found, Reason: reason}
			return a.reviewDocument(cmd.Context(), "procedure review "+args[0], r)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&result, "result", "", "justified|justified-with-findings|not-justified")
	f.StringVar(&reason, "reason", "", "why; it goes on record")
	f.StringVar(&digest, "digest", "", "digest of the document that was looked at; any other is refused")
	_ = cmd.MarkFlagRequired("result")
	_ = cmd.MarkFlagRequired("reason")
	words := []string{"justified", "justified-with-findings", "not-justified"}
	_ = cmd.RegisterFlagCompletionFunc("result", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// reviewDocument shows what is reviewed, and reviews it. Without a digest it is the document
// that is owed under that number now.
func (a *app) reviewDocument(ctx context.Context, what string, r *approvalv1.ReviewDocumentRequest) error {
	return a.about(ctx, func(ctx context.Context, client approvalv1.ProcedureServiceClient) error {
		if r.GetDigest() == "" {
			answer, err := client.GetProcedure(ctx, &approvalv1.GetProcedureRequest{})
			if err != nil {
				return exit.Call(what, err)
			}
			for _, d := range answer.GetStanding().GetDebts() {
				if d.GetNumber() != r.GetNumber() {
					continue
				}
				r.Digest = d.GetDigest()
				if err := show.Debts(a.out, []*releasev1.ProcedureDebt{d}); err != nil {
					return err
				}
			}
			if r.GetDigest() == "" {
				return exit.Withf(exit.Usage, "%s: no review of a document is owed under that number: shipwarden procedure list has them", what)
			}
		}
		answer, err := client.ReviewDocument(ctx, r)
		if err != nil {
			return exit.Call(what, err)
		}
		a.say("%s: %s; still owed: %d", strings.TrimPrefix(what, "procedure "), terminal.Word(r.GetResult(), "RESULT_"), answer.GetOwed())
		return nil
	})
}
