package command

import (
	"bytes"
	"context"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/demo"
	"github.com/blackdice/shipwarden/cli/terminal"
)

func newDemo(a *app) *cobra.Command {
	var dir, source string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story once, with real parts",
		Long: "Starts everything in one process, releases a small HTTP service, has a bad version\n" +
			"taken back by a change of its own, carries an emergency through with its review debt,\n" +
			"a release through a freeze, and another through a pause, after which it is looked at\n" +
			"again and found wanting. Ends with 0 only if all of that happened.\n\n" +
			"What an earlier demo left in its folder is removed. A folder that a running dev or\n" +
			"demo uses, or that holds what no demo made, is left alone.",
		Example: "  shipwarden demo",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := checkShop(source); err != nil {
				return err
			}
			state, err := a.stateDir(dir, "demo")
			if err != nil {
				return trial(err)
			}
			// What services log as an error may be part of the story. It is of use where that goes wrong.
			logged := &kept{}
			slog.SetDefault(slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelError})))
			err = demo.Run(cmd.Context(), demo.Config{
				Dir: state, Source: source, Out: a.out, Paint: a.paint(), Width: a.process.Width, Command: typed,
			})
			if lines := terminal.Lines(logged.String()); err != nil && len(lines) > 0 {
				a.say("%s", strings.Join(lines, "\n"))
			}
			return trial(err)
		}),
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of everything that is made; what an earlier demo left there is removed (default .shipwarden/demo)")
	c.Flags().StringVar(&source, "shop", "examples/shop", "folder of the example application")
	return c
}

// typed runs a command as one that the demo types, without a terminal.
func typed(ctx context.Context, args []string, getenv func(string) string) (string, int) {
	var said bytes.Buffer
	code := Main(ctx, args, Process{In: strings.NewReader(""), Out: &said, Err: &said, Getenv: getenv})
	return said.String(), code
}
