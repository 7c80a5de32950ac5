package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/consent/signer"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	"github.com/blackdice/shipwarden/internal/sigstore"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// signatures writes what people signed to approve a release into a folder, with the
// signatures, the list of those who may sign and the trusted root, in the forms that stock
// ssh-keygen and cosign take (PD-A.4): nobody has to believe this program.
func (a *app) signatures(ctx context.Context, client recorderv1.RecorderServiceClient, release, folder string) error {
	call, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.GetRecord(call, &recorderv1.GetRecordRequest{Release: release, Format: recorderv1.GetRecordRequest_FORMAT_JSON})
	if err != nil {
		return exit.Call("record "+release, err)
	}
	var record struct {
		WayBackOf       string `json:"way_back_of"`
		ProcedureDigest string `json:"procedure_digest"`
		Approvals       []struct {
			Person  string `json:"person"`
			Consent *struct {
				Namespace, Text, Signature, Bundle, Issuer, Subject string
			} `json:"consent"`
		} `json:"approvals"`
	}
	if err := json.Unmarshal(answer.GetDocument(), &record); err != nil {
		return exit.With(exit.Failed, fmt.Errorf("read the record of %s: %w", release, err))
	}
	if of := record.WayBackOf; of != "" {
		return exit.Withf(exit.Usage, "%s is a way back, approved with its release: shipwarden record %s --signatures %s", release, terminal.Escape(of), folder)
	}
	yaml, err := a.getEvidence(ctx, client, record.ProcedureDigest)
	if err != nil {
		return err
	}
	document := &policyv1.Procedure{}
	if err := strictyaml.Decode(yaml, record.ProcedureDigest, document); err != nil {
		return exit.With(exit.Failed, fmt.Errorf("read procedure document %s: %w", record.ProcedureDigest, err))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return exit.With(exit.Usage, fmt.Errorf("write signatures: %w", err))
	}
	write := func(name, content string) error {
		// A file that is there already is somebody's, and stays.
		f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // It is for reading.
		if err == nil {
			_, err = f.WriteString(content)
			err = firstOf(err, f.Close())
		}
		if err != nil {
			return exit.With(exit.Usage, fmt.Errorf("write signatures: %w", err))
		}
		return nil
	}
	if err := write("allowed_signers", consent.AllowedSigners(document)); err != nil {
		return err
	}
	written := 0
	var root *sigstore.Root
	for _, approval := range record.Approvals {
		if approval.Consent == nil {
			continue
		}
		written++
		name := fmt.Sprintf("approval-%d", written)
		if c := approval.Consent; c.Bundle != "" {
			id := consent.IdentityOf(document, approval.Person, &releasev1.SignerIdentity{Issuer: c.Issuer, Subject: c.Subject})
			if id == nil {
				a.say("%s: it was signed as %s, which is no identity of %s in the procedure document, or one that was revoked",
					name, terminal.Escape(signer.Identity(c.Issuer, c.Subject)), terminal.Escape(approval.Person))
			}
			if root == nil {
				file, err := a.getEvidence(ctx, client, document.GetSigstore().GetTrustedRoot())
				if err != nil {
					return err
				}
				if root, err = sigstore.ParseRoot(file); err != nil {
					return exit.With(exit.Failed, fmt.Errorf("the trusted root %s: %w", document.GetSigstore().GetTrustedRoot(), err))
				}
				if err := write("trusted_root.json", string(file)); err != nil {
					return err
				}
			}
			if err := firstOf(write(name, c.Text), write(name+bundleEnding, c.Bundle)); err != nil {
				return err
			}
			if id != nil {
				words := append([]string{
					"cosign verify-blob --bundle", filepath.Join(folder, name+bundleEnding), "--trusted-root", filepath.Join(folder, "trusted_root.json"),
					"--certificate-identity", quoted(id.GetSubject()), "--certificate-oidc-issuer", quoted(id.GetIssuer()),
				}, root.CosignFlags([]byte(c.Bundle))...)
				fmt.Fprintln(a.out, strings.Join(append(words, filepath.Join(folder, name)), " "))
			}
			continue
		}
		if err := firstOf(write(name, approval.Consent.Text), write(name+".sig", approval.Consent.Signature)); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "ssh-keygen -Y verify -f %s -I %s -n %s -s %s < %s\n",
			filepath.Join(folder, "allowed_signers"), terminal.Escape(approval.Person), terminal.Escape(approval.Consent.Namespace),
			filepath.Join(folder, name+".sig"), filepath.Join(folder, name))
	}
	a.say("%d of %d approvals are signed by their person; who may sign is of procedure document %s",
		written, len(record.Approvals), terminal.Escape(record.ProcedureDigest))
	return nil
}

// quoted is a word as a shell takes it for itself.
func quoted(word string) string {
	return "'" + strings.ReplaceAll(terminal.Escape(word), "'", `'\''`) + "'"
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
