package command

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

const (
	// completionTimeout bounds the wait of somebody who pressed the tab key.
	completionTimeout = 2 * time.Second
	// completionSize is how many releases are offered.
	completionSize = 100
)

// complete offers the ids of releases, the newest first, as the recorder knows them;
// open ones only where the command needs such a one. Without a recorder it offers
// nothing: a completion has nowhere to put an error.
func (a *app) complete(open bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		client, done, err := a.recorder()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer done()
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		answer, err := client.ListReleases(ctx, &recorderv1.ListReleasesRequest{PageSize: completionSize, Filter: &recorderv1.Filter{Open: open}})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		for _, r := range answer.GetReleases() {
			if releasePattern.MatchString(r.GetRelease()) && strings.HasPrefix(r.GetRelease(), typed) {
				out = append(out, cobra.CompletionWithDesc(r.GetRelease(), completionNote(r)))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}
