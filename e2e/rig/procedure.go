package rig

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	"github.com/blackdice/shipwarden/services/approval"
	"github.com/blackdice/shipwarden/services/approval/amend"
)

// ChangeProcedure puts another procedure document into effect, the way people do: one
// proposes it, others approve it, and it is activated. No service is restarted.
func (r *Rig) ChangeProcedure(ctx context.Context, document []byte) error {
	index := policy.NewIndex(r.document)
	rule := index.Document().GetChangeControl().GetApprovals()
	board := index.People(rule.GetGroup())
	// Somebody who is needed for no approval proposes.
	var proposer string
	for _, id := range index.Proposers() {
		if proposer == "" || !slices.Contains(board, id) {
			proposer = id
		}
	}
	client, err := r.Procedures(proposer)
	if err != nil {
		return err
	}
	answer, err := client.Propose(ctx, &approvalv1.ProposeRequest{Document: document, Reason: "the world has changed", Filename: "procedure.yaml"})
	if err != nil {
		return fmt.Errorf("propose as %s: %w", proposer, err)
	}
	p := answer.GetProposal()
	board = slices.DeleteFunc(board, func(id string) bool { return id == proposer })
	for _, id := range board[:min(len(board), int(rule.GetCount()))] {
		approver, err := r.Procedures(id)
		if err != nil {
			return err
		}
		if _, err := approver.ApproveProposal(ctx, &approvalv1.ApproveProposalRequest{Number: p.GetNumber(), Digest: p.GetDigest()}); err != nil {
			return fmt.Errorf("approve as %s: %w", id, err)
		}
	}
	if _, err := client.ActivateProposal(ctx, &approvalv1.ActivateProposalRequest{Number: p.GetNumber(), Digest: p.GetDigest()}); err != nil {
		return fmt.Errorf("activate as %s: %w", proposer, err)
	}
	if r.document, err = policy.Parse(document, "procedure.yaml"); err != nil {
		return err
	}
	// Where the services look for the first document lies the one in effect, or they would warn of
	// that when they start again.
	return os.WriteFile(r.ProcedureFile(), document, 0o600)
}

// Procedures returns the service that changes the procedure document as a person calls it.
func (r *Rig) Procedures(person string) (approvalv1.ProcedureServiceClient, error) {
	conn, err := r.dial(r.ApprovalURL, person)
	if err != nil {
		return nil, err
	}
	return approvalv1.NewProcedureServiceClient(conn), nil
}

// override puts a document into effect as an administrator does, with the key of the
// approval service.
func (r *Rig) override(ctx context.Context, file, reason string) error {
	cfg, err := approval.LoadForAdministrator(r.configFile(procedure.ServiceApproval))
	if err != nil {
		return err
	}
	_, _, err = approval.Activate(ctx, cfg, file, amend.Administrative{Reason: reason, ClaimedBy: "rig", Override: true})
	return err
}
