package command

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

const formMarkdown = "markdown"

func newRecord(a *app) *cobra.Command {
	var out, signed string
	var output *form
	cmd := &cobra.Command{
		Use:   "record RELEASE",
		Short: "Get the deployment record of a release",
		Long: "Gets the deployment record as a document, or that of a way back by its id. Its SHA-256 is compared with the one\n" +
			"that the recorder gives, and printed.\n\n" +
			"--signatures writes what people signed to approve it into a new folder instead, with\n" +
			"their signatures and the allowed signers of the procedure document, and prints the\n" +
			"commands with which stock ssh-keygen checks them.",
		Example: "  shipwarden record shop-k7q2m3xw5d8ta4bc\n" +
			"  shipwarden record shop-k7q2m3xw5d8ta4bc -o json --out record.json\n" +
			"  shipwarden record shop-k7q2m3xw5d8ta4bc-rb1 -o json\n" +
			"  shipwarden record shop-k7q2m3xw5d8ta4bc --signatures signed",
		Args:              oneRelease,
		ValidArgsFunction: a.complete(false),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := output.check(); err != nil {
				return err
			}
			client, done, err := a.recorder()
			if err != nil {
				return err
			}
			defer done()
			if signed != "" {
				return a.signatures(cmd.Context(), client, args[0], signed)
			}
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			format := recorderv1.GetRecordRequest_FORMAT_MARKDOWN
			if output.value == formJSON {
				format = recorderv1.GetRecordRequest_FORMAT_JSON
			}
			answer, err := client.GetRecord(ctx, &recorderv1.GetRecordRequest{Release: args[0], Format: format})
			if err != nil {
				return exit.Call("record "+args[0], err)
			}
			return a.document(answer, out)
		}),
	}
	output = outputFlag(cmd, formMarkdown, formJSON)
	cmd.Flags().StringVar(&out, "out", "", "write to this file instead of standard output")
	cmd.Flags().StringVar(&signed, "signatures", "", "write signed approvals into this folder, for ssh-keygen to check")
	return cmd
}

// document writes a record, after a look at its digest.
func (a *app) document(answer *recorderv1.GetRecordResponse, out string) error {
	sum := sha256.Sum256(answer.GetDocument())
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != answer.GetDigest() {
		return exit.Withf(exit.Failed, "the record's digest is %s, the recorder says %s", got, terminal.Escape(answer.GetDigest()))
	}
	if out != "" {
		if err := os.WriteFile(out, answer.GetDocument(), 0o644); err != nil { //nolint:gosec // a record is for reading
			return exit.With(exit.Usage, fmt.Errorf("write record: %w", err))
		}
		a.say("wrote %s (%s)", out, answer.GetDigest())
		return nil
	}
	if a.process.OutTerminal {
		// Bytes that a terminal would obey are for files and pipes only.
		_, err := io.WriteString(a.out, strings.Join(terminal.Lines(string(answer.GetDocument())), "\n")+"\n")
		return err
	}
	_, err := a.out.Write(answer.GetDocument())
	return err
}
