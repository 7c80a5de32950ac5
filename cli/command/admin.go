package command

import (
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/connect"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/eventstore"
)

func newAdmin(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "admin",
		Short: "Prepare the bus, and begin with a procedure document",
		Long:  "Steps of an administrator, made once and with an administrator's rights.",
	}
	c.AddCommand(newProvision(a), newActivateFirst(a))
	return c
}

func newProvision(a *app) *cobra.Command {
	var replicas int
	var quota int64
	var anywhere bool
	c := &cobra.Command{
		Use:   "provision",
		Short: "Make the streams, consumers and buckets",
		Long: "Makes everything that the services need on the bus, or makes sure that it is as it\n" +
			"must be: a stream that could lose or change what it holds is refused by the name of\n" +
			"the setting. Services have no right to do any of this. It may be repeated.",
		Example: "  shipwarden admin provision --nats-url nats://nats:4222 --nats-user admin --nats-password-file admin.password --replicas 3",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if replicas != 1 && replicas != 3 && replicas != 5 {
				return exit.Withf(exit.Usage, "--replicas %d: must be 1, 3 or 5", replicas)
			}
			s, err := a.settings()
			if err != nil {
				return err
			}
			conn, err := connect.NATS(cmd.Context(), s)
			if err != nil {
				return err
			}
			defer conn.Close()
			js, err := jetstream.New(conn)
			if err != nil {
				return err
			}
			topology := eventstore.NewTopology(replicas, quota)
			if anywhere {
				topology = topology.Anywhere()
			}
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			if err := eventstore.Provision(ctx, js, topology); err != nil {
				return exit.With(exit.Failed, err)
			}
			for _, stream := range topology.Streams {
				fmt.Fprintf(a.out, "stream %s\n", stream.Name)
			}
			for _, d := range topology.Durables {
				fmt.Fprintf(a.out, "consumer %s of %s\n", d.Config.Durable, d.Stream)
			}
			return nil
		}),
	}
	c.Flags().IntVar(&replicas, "replicas", 1, "replicas of every stream: 1, 3 or 5")
	c.Flags().Int64Var(&quota, "quota", 0, "bytes that the record may take; 0 for 4 GiB")
	c.Flags().BoolVar(&anywhere, "unsynced", false, "take servers that do not sync every write; a power cut may then lose what was acknowledged")
	return c
}
