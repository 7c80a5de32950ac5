package amend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ErrInEffect says that another document is in effect, which is changed by a proposal.
var ErrInEffect = errors.New("another procedure document is in effect")

// Others returns the ids of the procedures other than that one which have a document in
// effect, in alphabetical order and as they stand in subjects. Errors are the store's.
func Others(ctx context.Context, store Store, id string) ([]string, error) {
	ids, err := store.Procedures(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which procedures there are: %w", err)
	}
	return slices.DeleteFunc(ids, func(other string) bool {
		return procedure.ProcedureAggregate(other) == procedure.ProcedureAggregate(id)
	}), nil
}

// Document is a procedure document that was parsed, with its bytes and those of the
// trusted root that it names, if any.
type Document struct {
	Procedure *policyv1.Procedure
	Bytes     []byte
	Trusted   []byte
}

// Administrative is how an administrator puts a document into effect.
type Administrative struct {
	// Reason goes on record, and so does who the administrator says to be, unchecked.
	Reason, ClaimedBy string
	// Override goes around the change control where a document is in effect, be it that of
	// another id: releases run under whichever the service is configured with.
	Override bool
}

// Activate puts a document into effect without anybody's approval: the first one of all,
// or with Override another one, where the right way is closed. It needs no service that runs, but
// the approval service's key, without which nothing counts. It returns what is in effect
// afterwards, and whether anything was changed. Two may do it at once, also with documents of
// two ids: the first one of all is only one of them. Errors wrap ErrInEffect, or those of the
// store.
func Activate(ctx context.Context, c Config, doc Document, how Administrative) (standing.Procedure, bool, error) {
	digest := policy.Digest(doc.Bytes)
	for {
		active, err := standing.ReadProcedure(ctx, c.Store, doc.Procedure.GetId())
		if err != nil {
			return active, false, err
		}
		switch {
		case active.Digest == digest:
			return active, false, nil
		case active.Digest != "" && !how.Override:
			return active, false, fmt.Errorf("%w: version %s, %s", ErrInEffect, active.Version, active.Digest)
		}
		a := &releasev1.ProcedureActivated{
			Version: doc.Procedure.GetVersion(), Digest: digest, Reason: how.Reason, ClaimedBy: how.ClaimedBy,
		}
		var begun standing.Begun
		if active.Digest == "" {
			// In this order: whoever begins after this was read makes the append a conflict.
			if begun, err = standing.ReadBegun(ctx, c.Store); err != nil {
				return active, false, err
			}
			if a.Beside, err = Others(ctx, c.Store, doc.Procedure.GetId()); err != nil {
				return active, false, err
			}
			if len(a.GetBeside()) > 0 && !how.Override {
				return active, false, fmt.Errorf("%w: that of %s, and the file is one of %s",
					ErrInEffect, strings.Join(a.GetBeside(), ", "), doc.Procedure.GetId())
			}
		}
		assessment := c.compare(ctx, active, doc)
		if assessment != nil {
			content, err := write(assessment)
			if err != nil {
				return active, false, err
			}
			a.AssessmentDigest = evidence.Digest(content)
		}
		if active.Digest != "" || len(a.GetBeside()) > 0 {
			if a.Debt, err = c.debt(ctx, active, a.GetBeside(), doc); err != nil {
				return active, false, err
			}
		}
		event, err := procedure.DecideActivatedByAdministrator(active.Document, procedure.ServiceApproval, a, c.Now())
		if err != nil {
			return active, false, err
		}
		if err := keep(ctx, c.Evidence, doc.Procedure.GetVersion(), doc.Bytes, doc.Trusted, assessment); err != nil {
			return active, false, err
		}
		drafts := []eventstore.Draft{active.Draft(event)}
		if active.Digest == "" {
			beside := begun.With(strings.TrimPrefix(active.Aggregate, procedure.ProcedureAggregate("")), digest, a.GetBeside())
			beside.Actor = event.GetActor()
			drafts = append(drafts, begun.Draft(beside))
		}
		_, err = c.Store.Append(ctx, drafts...)
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return active, false, fmt.Errorf("activate the procedure document: %w", err)
		}
		return standing.Procedure{
			Version: a.GetVersion(), Digest: digest, Document: procedure.Document{Standing: procedure.StandingOf(event)},
		}, true, nil
	}
}

// compare says what the document changes; nil where that cannot be said, because the one
// in effect is broken, which may be why an administrator is here.
func (c Config) compare(ctx context.Context, active standing.Procedure, doc Document) *approvalv1.Assessment {
	if active.Digest == "" {
		return nil
	}
	before, err := c.Procedures.ByDigest(ctx, active.Digest)
	if err == nil {
		var was []byte
		if was, err = c.Evidence.Get(ctx, active.Digest); err == nil {
			return assess(before, policy.NewIndex(doc.Procedure), was, doc.Bytes)
		}
	}
	slog.WarnContext(ctx, "the document in effect cannot be compared", slog.Any("error", err))
	return nil
}
