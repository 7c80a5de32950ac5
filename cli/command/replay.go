package command

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/sigstore"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/executor"
)

func newReplay(a *app) *cobra.Command {
	var keyring, signers string
	var roots []string
	var output *form
	cmd := &cobra.Command{
		Use:   "replay RELEASE",
		Short: "Derive the decisions of a release again, and compare",
		Long: "Derives every decision of a release again on this machine, from what is stored: the\n" +
			"events, whose signatures are verified with your keyring, and the procedure document\n" +
			"and the evidence, by their digests. Signatures of approvals are verified again as\n" +
			"well, and what other systems said is judged again from what was kept of it. Compares\n" +
			"the result with the record, byte for byte, and says of each event what was derived\n" +
			"and what was taken as it is: docs/record.md.\n\n" +
			"Exit code 0: nothing differs. 1: something differs, is missing, or was changed.",
		Example: "  shipwarden replay shop-k7q2m3xw5d8ta4bc --keyring keyring.yaml\n" +
			"  shipwarden replay shop-k7q2m3xw5d8ta4bc --keyring keyring.yaml -o json",
		Args:              oneRelease,
		ValidArgsFunction: a.complete(false),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			named := &configv1.Keyring{}
			if err := service.LoadConfig(keyring, named); err != nil {
				return exit.With(exit.Usage, fmt.Errorf("--keyring: %w", err))
			}
			ring, err := envelope.NewKeyring(named)
			if err != nil {
				return exit.With(exit.Usage, fmt.Errorf("--keyring %s: %w", keyring, err))
			}
			own, err := executor.LoadSigners(signers)
			if err != nil {
				return exit.With(exit.Usage, fmt.Errorf("--signers: %w", err))
			}
			var trusted sigstore.Roots
			if len(roots) > 0 {
				if trusted, err = sigstore.LoadRoots(roots); err != nil {
					return exit.With(exit.Usage, fmt.Errorf("--sigstore-root%w", err))
				}
			}
			return a.replay(cmd.Context(), args[0], ring, own, trusted, output)
		}),
	}
	output = outputFlag(cmd, formTable, formJSON)
	cmd.Flags().StringVar(&keyring, "keyring", "", "file with the public keys of the services, as their keyring_file has them")
	cmd.Flags().StringVar(&signers, "signers", "", "file with the keys of people, as the executor's signers_file has them: signatures of approvals have to be by these, too")
	cmd.Flags().StringArrayVar(&roots, "sigstore-root", nil, "trusted root that bundles of approvals are verified with; may be given again (default: those that the documents name, where there is no --signers)")
	_ = cmd.MarkFlagRequired("keyring") // It fails only where there is no such flag.
	return cmd
}

func (a *app) replay(ctx context.Context, release string, ring *envelope.Keyring, signers *policy.Index, trusted sigstore.Roots, output *form) error {
	client, done, err := a.recorder()
	if err != nil {
		return err
	}
	defer done()
	asking, cancel := a.call(ctx)
	defer cancel()
	answer, err := whole(asking, client, &recorderv1.GetReleaseRequest{Release: release, Events: true, Sealed: true})
	if err != nil {
		return exit.Call("replay "+release, err)
	}
	if of := answer.GetRelease().GetWayBackOf(); of != "" {
		return exit.Withf(exit.Usage, "%s is a way back, whose record is computed again with its release: shipwarden replay %s", release, terminal.Escape(of))
	}
	replayer := replay.New(ring, func(ctx context.Context, digest string) ([]byte, error) {
		content, err := a.stored(ctx, client, digest)
		switch status.Code(err) { //nolint:exhaustive // Those that say something of what is stored.
		case codes.NotFound:
			return nil, replay.ErrMissing
		case codes.DataLoss, codes.InvalidArgument:
			return nil, fmt.Errorf("%w: %s", replay.ErrMissing, status.Convert(err).Message())
		}
		return content, err
	})
	replayer.Signers(signers)
	replayer.Roots(trusted)
	report, err := replayer.Release(ctx, release, answer.GetEvents())
	if err != nil {
		return exit.Call("replay "+release, err)
	}
	if output.value == formJSON {
		encoder := json.NewEncoder(a.out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else if err := a.replayed(report); err != nil {
		return err
	}
	if !report.OK() {
		return exit.Silently(exit.Failed)
	}
	return nil
}

// replayed prints a report for people.
func (a *app) replayed(r replay.Report) error {
	table := terminal.NewTable("EVENT", "TYPE", "RESULT", "WHAT")
	for _, d := range r.Decisions {
		what := d.Detail
		if len(d.Taken) > 0 {
			what = strings.Join(append([]string{what}, "taken as it is: "+strings.Join(d.Taken, ", ")), "; ")
		}
		table.Add(fmt.Sprint(d.Sequence), d.Type, string(d.Result), strings.TrimPrefix(what, "; "))
	}
	if err := table.Write(a.out); err != nil {
		return err
	}
	verdict := "Nothing differs."
	if !r.OK() {
		verdict = "NOT AS RECORDED."
	}
	_, err := fmt.Fprintf(a.out, "%s Of %d events, %d were derived, %d in part, %d taken, and %d differ; %d messages do not count; %d pieces of evidence read. As of event %d.\n",
		verdict, len(r.Decisions), r.Count(replay.Derived), r.Count(replay.Partly), r.Count(replay.Taken), r.Count(replay.Differs),
		r.Uncounted, r.Inputs, r.AsOfSequence)
	return err
}
