package command

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func newAcknowledgeNotice(a *app) *cobra.Command {
	var occasion, comment string
	cmd := &cobra.Command{
		Use:   "acknowledge-notice RELEASE",
		Short: "Say that you know of a release",
		Long: `Says that you know of what you were told about a release: of its start, if nothing else
is named. Where the procedure document asks for that, the release does not start before.
Only people whom the notice was meant for can say so.`,
		Example:           "  shipwarden acknowledge-notice shop-k7q2m3xw5d8ta4bc --comment 'the desk is staffed'",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			value, err := parseOccasion(occasion)
			if err != nil {
				return err
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			answer, err := client.AcknowledgeNotice(ctx, &approvalv1.AcknowledgeNoticeRequest{Release: args[0], Occasion: value, Comment: comment})
			if err != nil {
				return exit.Call("acknowledge the notice of "+args[0], err)
			}
			a.say("%s: known", args[0])
			for _, p := range answer.GetMissing() {
				a.say("it still waits for %s (%s)", strings.Join(p.GetPeople(), ", "), p.GetReason())
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&occasion, "occasion", "", "of what you were told, such as rollback; otherwise of the start")
	cmd.Flags().StringVar(&comment, "comment", "", "what to say about it")
	_ = cmd.RegisterFlagCompletionFunc("occasion", cobra.FixedCompletions(occasionWords(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func parseOccasion(word string) (releasev1.Occasion, error) {
	if word == "" {
		return releasev1.Occasion_OCCASION_UNSPECIFIED, nil
	}
	value, ok := releasev1.Occasion_value["OCCASION_"+strings.ToUpper(strings.ReplaceAll(word, "-", "_"))]
	if !ok || value == 0 {
		return 0, oneOf("occasion", word, occasionWords()...)
	}
	return releasev1.Occasion(value), nil
}

func occasionWords() []string {
	var out []string
	for i := int32(1); releasev1.Occasion_name[i] != ""; i++ {
		out = append(out, terminal.Word(releasev1.Occasion(i), "OCCASION_"))
	}
	return out
}
