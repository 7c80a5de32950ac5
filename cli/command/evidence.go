package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

func newEvidence(a *app) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "evidence DIGEST",
		Short: "Get stored evidence: a preview, an attestation, samples",
		Long: "Gets evidence by its digest, as records and approvals name it, and compares its\n" +
			"SHA-256 with the digest.",
		Example: "  shipwarden evidence sha256:7a253a761e1a0f25d524fc2194237c855e4905cef1eaf38e6f18c99f5f19d035",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			client, done, err := a.recorder()
			if err != nil {
				return err
			}
			defer done()
			content, err := a.getEvidence(cmd.Context(), client, args[0])
			if err != nil {
				return err
			}
			return a.evidence(content, args[0], out)
		}),
	}
	cmd.Flags().StringVar(&out, "out", "", "write to this file instead of standard output")
	return cmd
}

// getEvidence gets evidence and compares its digest with the one that was asked for.
func (a *app) getEvidence(ctx context.Context, client recorderv1.RecorderServiceClient, digest string) ([]byte, error) {
	content, err := a.stored(ctx, client, digest)
	if err != nil {
		return nil, exit.Call("evidence "+digest, err)
	}
	sum := sha256.Sum256(content)
	if got := "sha256:" + hex.EncodeToString(sum[:]); got != digest {
		return nil, exit.Withf(exit.Failed, "the evidence's digest is %s, not the one that was asked for", got)
	}
	return content, nil
}

// stored gets evidence by its digest, which is not compared.
func (a *app) stored(ctx context.Context, client recorderv1.RecorderServiceClient, digest string) ([]byte, error) {
	ctx, cancel := a.call(ctx)
	defer cancel()
	stream, err := client.GetEvidence(ctx, &recorderv1.GetEvidenceRequest{Digest: digest})
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return content.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		content.Write(m.GetContent())
	}
}

// evidence writes evidence.
func (a *app) evidence(content []byte, digest, out string) error {
	if out != "" {
		if err := os.WriteFile(out, content, 0o644); err != nil { //nolint:gosec // Evidence is for reading.
			return exit.With(exit.Usage, fmt.Errorf("write evidence: %w", err))
		}
		a.say("wrote %s (%s)", out, digest)
		return nil
	}
	if a.process.OutTerminal {
		// Bytes that a terminal would obey are for files and pipes only.
		_, err := io.WriteString(a.out, strings.Join(terminal.Lines(string(content)), "\n")+"\n")
		return err
	}
	_, err := a.out.Write(content)
	return err
}
