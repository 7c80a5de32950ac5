package command

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// signatures writes what people signed to approve a release into a folder, with the
// signatures and the list of those who may sign, in the forms that stock ssh-keygen
// takes (PD-A.4): nobody has to believe this program.
func (a *app) signatures(ctx context.Context, client recorderv1.RecorderServiceClient, release, folder string) error {
	call, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.GetRecord(call, &recorderv1.GetRecordRequest{Release: release, Format: recorderv1.GetRecordRequest_FORMAT_JSON})
	if err != nil {
		return exit.Call("record "+release, err)
	}
	var record struct {
		ProcedureDigest string `json:"procedure_digest"`
		Approvals       []struct {
			Person  string `json:"person"`
			Consent *struct {
				Namespace, Text, Signature string
			} `json:"consent"`
		} `json:"approvals"`
	}
	if err := json.Unmarshal(answer.GetDocument(), &record); err != nil {
		return exit.With(exit.Failed, fmt.Errorf("read the record of %s: %w", release, err))
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
	for _, approval := range record.Approvals {
		if approval.Consent == nil {
			continue
		}
		written++
		name := fmt.Sprintf("approval-%d", written)
		if err := firstOf(write(name, approval.Consent.Text), write(name+".sig", approval.Consent.Signature)); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "ssh-keygen -Y verify -f %s -I %s -n %s -s %s < %s\n",
			filepath.Join(folder, "allowed_signers"), terminal.Escape(approval.Person), terminal.Escape(approval.Consent.Namespace),
			filepath.Join(folder, name+".sig"), filepath.Join(folder, name))
	}
	a.say("%d of %d approvals are signed by their person; allowed_signers is of procedure document %s",
		written, len(record.Approvals), terminal.Escape(record.ProcedureDigest))
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
