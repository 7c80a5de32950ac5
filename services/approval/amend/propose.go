package amend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/refusal"
	"github.com/blackdice/shipwarden/internal/shape"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxWidened bounds how many people an event names whose rights are widened. Where there
// are more, the change is too large to be looked at.
const maxWidened = 32

// Propose implements approvalv1.ProcedureServiceServer. What is wrong with the document
// is told as `shipwarden lint` tells it.
func (s *Server) Propose(ctx context.Context, r *approvalv1.ProposeRequest) (*approvalv1.ProposeResponse, error) {
	if !r.GetDryRun() && shape.Blank(r.GetReason()) {
		return nil, invalidField("reason", "must hold at least one character that prints")
	}
	doc, err := read(r, s.Now())
	if err != nil {
		return nil, err
	}
	out, past := &approvalv1.ProposeResponse{}, &comparison{}
	event, err := s.decide(ctx, func(d desk) (*releasev1.Event, error) {
		out.Warnings = s.warnings(doc)
		p, err := s.proposal(ctx, d, r, doc, out, past)
		if err != nil {
			return nil, err
		}
		event, err := procedure.DecideProposed(d.active.Document, d.person, p, d.now)
		if err != nil || r.GetDryRun() {
			return nil, err
		}
		// Evidence first: the event names what is there.
		return event, s.keep(ctx, r, doc, out.GetAssessment(), past.whole)
	})
	if event != nil {
		out.Proposal = event.GetProcedureProposed().GetProposal()
	}
	return out, err
}

// read is the document, if it is one.
func read(r *approvalv1.ProposeRequest, now time.Time) (*policyv1.Procedure, error) {
	name := r.GetFilename()
	if name == "" {
		name = "document"
	}
	doc, err := policy.ParseAt(r.GetDocument(), name, now)
	if err == nil {
		return doc, nil
	}
	var fields []refusal.Field
	for line := range strings.Lines(err.Error()) {
		// Below what is wrong stands the line of the file, for those who have it at hand.
		if line = strings.TrimSpace(line); strings.HasPrefix(line, name+":") {
			fields = append(fields, refusal.Field{Path: "document", Rule: "DOCUMENT_INVALID", Message: line})
		}
	}
	if len(fields) == 0 {
		fields = []refusal.Field{{Path: "document", Rule: "DOCUMENT_INVALID", Message: err.Error()}}
	}
	const most = 50 // A file that is no document at all has as many mistakes as lines.
	if n := len(fields); n > most {
		fields = append(fields[:most], refusal.Field{Path: "document", Rule: "DOCUMENT_INVALID", Message: fmt.Sprintf("and %d more", n-most)})
	}
	return nil, refusal.InvalidFields(domain, "DOCUMENT_INVALID", fields...)
}

// proposal is what is proposed, by the document in effect; the response gets the
// assessment. What it would have changed in the past is found out once for each document in
// effect, and then errAgain is returned: the time and the standing of before it are old.
func (s *Server) proposal(ctx context.Context, d desk, r *approvalv1.ProposeRequest, doc *policyv1.Procedure, out *approvalv1.ProposeResponse, past *comparison) (*releasev1.ProcedureProposal, error) {
	now := d.index.Document()
	control, digest := now.GetChangeControl(), policy.Digest(r.GetDocument())
	switch {
	case control == nil:
		return nil, errUngoverned
	case !d.index.MayPropose(d.person.GetGroups()):
		return nil, denied("only members of %s may propose a change", strings.Join(control.GetProposerGroups(), ", "))
	case r.GetBaseDigest() != "" && r.GetBaseDigest() != d.active.Digest:
		return nil, fmt.Errorf("%w: %s is", procedure.ErrOtherBase, d.active.Digest)
	case digest == d.active.Digest:
		return nil, invalidField("document", "is the document in effect")
	case doc.GetId() != now.GetId():
		return nil, invalidField("document.id", fmt.Sprintf("is %s, and the document in effect is that of %s", doc.GetId(), now.GetId()))
	case doc.GetVersion() == now.GetVersion():
		return nil, invalidField("document.version", fmt.Sprintf("is %s, as that of the document in effect: records name versions", doc.GetVersion()))
	}
	after := policy.NewIndex(doc)
	if err := policy.LockedOut(after); err != nil {
		return nil, invalidField("document.change_control", "says nobody who may change it again")
	}
	if err := s.trusts(ctx, r, doc); err != nil {
		return nil, err
	}
	before, err := s.Evidence.Get(ctx, d.active.Digest)
	if err != nil {
		return nil, fmt.Errorf("read the document in effect: %w", err)
	}
	out.Assessment = assess(d.index, after, before, r.GetDocument())
	switch {
	case control.GetCompareLast() == 0:
		*past = comparison{}
	case past.base != d.active.Digest:
		if *past, err = s.compareLast(ctx, d, r, after); err == nil {
			err = errAgain
		}
		return nil, err
	}
	out.Assessment.Comparison = past.short
	total := past.short.GetTotal()
	if total.GetUnknown() > 0 {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%d of %d past releases cannot be compared: approvals do not put it into effect; mend what is missing, withdraw it and propose it again", total.GetUnknown(), total.GetReleases()))
	}
	content, err := write(out.GetAssessment())
	if err != nil {
		return nil, err
	}
	p := &releasev1.ProcedureProposal{
		Version: doc.GetVersion(), Digest: digest, Reason: r.GetReason(), AssessmentDigest: evidence.Digest(content),
		Expires:    timestamppb.New(d.now.Add(control.GetProposalValid().AsDuration())),
		Quorum:     &releasev1.QuorumRule{Group: control.GetApprovals().GetGroup(), Count: control.GetApprovals().GetCount()},
		Comparison: total,
	}
	if r.GetDryRun() && p.GetReason() == "" {
		p.Reason = "dry run"
	}
	for _, w := range out.GetAssessment().GetWidened() {
		p.Widened = append(p.Widened, w.GetPerson())
	}
	if len(p.GetWidened()) > maxWidened {
		return nil, invalidField("document", fmt.Sprintf("widens the rights of %d people, and one change can be judged for %d: make several of it", len(p.GetWidened()), maxWidened))
	}
	out.Proposal = p
	return p, nil
}

// trusts makes sure that the trusted root is there which the document names: nothing
// could be verified by it otherwise.
func (s *Server) trusts(ctx context.Context, r *approvalv1.ProposeRequest, doc *policyv1.Procedure) error {
	want := doc.GetSigstore().GetTrustedRoot()
	given := r.GetTrustedRoot()
	switch {
	case len(given) > 0 && evidence.Digest(given) != want:
		return invalidField("trusted_root", fmt.Sprintf("is %s, and the document names %q", evidence.Digest(given), want))
	case len(given) > 0:
		if _, err := sigstore.ParseRoot(given); err != nil {
			return invalidField("trusted_root", err.Error())
		}
	case want != "":
		_, err := s.Evidence.Get(ctx, want)
		if errors.Is(err, evidence.ErrNotFound) {
			return invalidField("trusted_root", "is required, because the document names one that is not kept yet: "+want)
		}
		return err
	}
	return nil
}

// keep stores the document, the trusted root and what was made of them.
func (s *Server) keep(ctx context.Context, r *approvalv1.ProposeRequest, doc *policyv1.Procedure, assessment *approvalv1.Assessment, past []byte) error {
	if past != nil {
		if _, err := s.Evidence.Put(ctx, "application/json", "comparison of procedure "+doc.GetVersion(), past); err != nil {
			return fmt.Errorf("store the comparison: %w", err)
		}
	}
	return keep(ctx, s.Evidence, doc.GetVersion(), r.GetDocument(), r.GetTrustedRoot(), assessment)
}

// warnings are what is not wrong in the document and may surprise.
func (s *Server) warnings(doc *policyv1.Procedure) []string {
	var all []string
	for _, c := range doc.GetChannels() {
		if !slices.Contains(s.Channels, c.GetName()) {
			all = append(all, fmt.Sprintf("channel %s: no address is configured in the approval service: nobody is told there", c.GetName()))
		}
	}
	for _, rule := range doc.GetChangeRecords() {
		if !slices.Contains(s.Connectors, rule.GetConnector()) {
			all = append(all, fmt.Sprintf("change record %s: no connector %s is configured in the approval service: releases will wait and be refused", rule.GetName(), rule.GetConnector()))
		}
	}
	return all
}

func stamp(t time.Time) *timestamppb.Timestamp { return timestamppb.New(t) }
