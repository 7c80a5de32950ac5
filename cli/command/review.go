package command

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/exit"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// reviewResults are the words for the findings of a review.
var reviewResults = map[string]releasev1.ReviewCompleted_Result{
	"justified":               releasev1.ReviewCompleted_RESULT_JUSTIFIED,
	"justified-with-findings": releasev1.ReviewCompleted_RESULT_JUSTIFIED_WITH_FINDINGS,
	"not-justified":           releasev1.ReviewCompleted_RESULT_NOT_JUSTIFIED,
}

// reviewing is what the flags of review say.
type reviewing struct {
	result, residualRisk string
	followUps            []string
}

func newReview(a *app) *cobra.Command {
	v := &reviewing{}
	cmd := &cobra.Command{
		Use:   "review RELEASE --result RESULT --residual-risk TEXT",
		Short: "Complete the retrospective review of an emergency",
		Long: "Pays the review debt of an emergency release: whether shortening the procedure was\n" +
			"justified, which risk remains, and what is to be done, by whom, until when.",
		Example: "  shipwarden review shop-k7q2m3xw5d8ta4bc --result justified-with-findings \\\n" +
			"    --residual-risk 'the cache is still unbounded' \\\n" +
			"    --follow-up 'bound the cache;olu;2026-12-01'",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(true),
		RunE:              a.run(func(cmd *cobra.Command, args []string) error { return a.review(cmd.Context(), args[0], v) }),
	}
	f := cmd.Flags()
	f.StringVar(&v.result, "result", "", "justified|justified-with-findings|not-justified")
	f.StringVar(&v.residualRisk, "residual-risk", "", "the risk that remains")
	f.StringArrayVar(&v.followUps, "follow-up", nil, "what is to be done: 'action;owner;2026-12-01'; may be repeated")
	_ = cmd.MarkFlagRequired("result")
	_ = cmd.MarkFlagRequired("residual-risk")
	words := []string{"justified", "justified-with-findings", "not-justified"}
	_ = cmd.RegisterFlagCompletionFunc("result", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a *app) review(ctx context.Context, release string, v *reviewing) error {
	result, ok := reviewResults[v.result]
	if !ok {
		return oneOf("result", v.result, "justified", "justified-with-findings", "not-justified")
	}
	if err := notBlank("residual-risk", v.residualRisk); err != nil {
		return err
	}
	request := &approvalv1.CompleteReviewRequest{Release: release, Result: result, ResidualRisk: v.residualRisk}
	for _, text := range v.followUps {
		f, err := followUp(text)
		if err != nil {
			return err
		}
		request.FollowUps = append(request.FollowUps, f)
	}
	client, done, err := a.approval()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := a.call(ctx)
	defer cancel()
	if _, err := client.CompleteReview(ctx, request); err != nil {
		return exit.Call("review "+release, err)
	}
	a.say("%s: reviewed", release)
	return nil
}

// followUp reads "action;owner;date". The date is the day's beginning in UTC.
func followUp(text string) (*releasev1.FollowUp, error) {
	parts := strings.Split(text, ";")
	if len(parts) != 3 {
		return nil, exit.Withf(exit.Usage, "--follow-up %q: expected 'action;owner;2026-12-01'", text)
	}
	action, owner, day := strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1]), strings.TrimSpace(parts[2])
	due, err := time.Parse(time.DateOnly, day)
	if err != nil || action == "" || owner == "" {
		return nil, exit.Withf(exit.Usage, "--follow-up %q: expected 'action;owner;2026-12-01'", text)
	}
	return &releasev1.FollowUp{Action: action, Owner: owner, Due: timestamppb.New(due)}, nil
}
