package command

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/demo"
)

func newDemo(a *app) *cobra.Command {
	var dir, source string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Tell the whole story once, with real parts",
		Long: "Starts everything in one process, releases a small HTTP service, has a bad version\n" +
			"rolled back by itself, carries an emergency through with its review debt, and a\n" +
			"release through a freeze. Ends with 0 only if all of that happened.\n\n" +
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
			slog.SetLogLoggerLevel(slog.LevelError)
			return trial(demo.Run(cmd.Context(), demo.Config{
				Dir: state, Source: source, Out: a.out, Paint: a.paint(),
			}))
		}),
	}
	c.Flags().StringVar(&dir, "dir", "", "folder of everything that is made; what an earlier demo left there is removed (default .shipwarden/demo)")
	c.Flags().StringVar(&source, "shop", "examples/shop", "folder of the example application")
	return c
}
