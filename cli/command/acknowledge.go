package command

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func newAcknowledge(a *app) *cobra.Command {
	var cause, comment string
	cmd := &cobra.Command{
		Use:               "acknowledge RELEASE --comment TEXT",
		Aliases:           []string{"ack"},
		Short:             "Take an escalation on",
		Long:              "Takes the open escalations of a release on, so that nobody else is called. What the comment says is the reason\nthat stands in the incident. It goes on until somebody ends it: see close-incident.",
		Example:           "  shipwarden acknowledge shop-k7q2m3xw5d8ta4bc --comment 'looking at it'",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := notBlank("comment", comment); err != nil {
				return err
			}
			value, err := parseCause(cause)
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
			answer, err := client.Acknowledge(ctx, &approvalv1.AcknowledgeRequest{Release: args[0], Cause: value, Comment: comment})
			if err != nil {
				return exit.Call("acknowledge "+args[0], err)
			}
			a.say("%s: %d taken on", args[0], answer.GetAcknowledged())
			return nil
		}),
	}
	cmd.Flags().StringVar(&cause, "cause", "", "only this one, such as validation-failed")
	cmd.Flags().StringVar(&comment, "comment", "", "why, or what is done about it; it goes on record")
	_ = cmd.MarkFlagRequired("comment")
	_ = cmd.RegisterFlagCompletionFunc("cause", cobra.FixedCompletions(causeWords(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func parseCause(word string) (releasev1.Cause, error) {
	if word == "" {
		return releasev1.Cause_CAUSE_UNSPECIFIED, nil
	}
	value, ok := releasev1.Cause_value["CAUSE_"+strings.ToUpper(strings.ReplaceAll(word, "-", "_"))]
	if !ok || value == 0 {
		return 0, oneOf("cause", word, causeWords()...)
	}
	return releasev1.Cause(value), nil
}

func causeWords() []string {
	var out []string
	for _, i := range slices.Sorted(maps.Keys(releasev1.Cause_name))[1:] { // without that of none
		out = append(out, terminal.Word(releasev1.Cause(i), "CAUSE_"))
	}
	return out
}
