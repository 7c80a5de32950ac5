package authorize

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// GetPending implements approvalv1.ApprovalServiceServer: what an approver must
// see before deciding (D-1.6), and the digest of it, which goes into the approval.
func (s *Server) GetPending(ctx context.Context, r *approvalv1.GetPendingRequest) (*approvalv1.GetPendingResponse, error) {
	d, err := s.sit(ctx, r.GetRelease())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	if d.state.Phase != procedure.PhaseApprove {
		return nil, precondition("%s does not wait for approvals: it is in phase %s", r.GetRelease(), d.state.Phase)
	}
	return &approvalv1.GetPendingResponse{Pending: d.pending()}, nil
}

// ListPending implements approvalv1.ApprovalServiceServer.
func (s *Server) ListPending(ctx context.Context, r *approvalv1.ListPendingRequest) (*approvalv1.ListPendingResponse, error) {
	after, err := pageToken(r.GetPageToken(), question(r))
	if err != nil {
		return nil, err
	}
	all, err := s.pending(ctx, r)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	size := int(r.GetPageSize())
	if size == 0 {
		size = 50
	}
	out, bytes := &approvalv1.ListPendingResponse{}, 0
	for _, p := range all {
		if position(p) <= after {
			continue
		}
		bytes += proto.Size(p)
		if n := len(out.GetPending()); n == size || (n > 0 && bytes > maxPage) {
			last := out.GetPending()[n-1]
			out.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(question(r) + " " + position(last)))
			break
		}
		out.Pending = append(out.Pending, p)
	}
	return out, nil
}

// maxPage bounds a page in bytes, below what one answer may have.
const maxPage = 768 << 10

// pending returns every release that waits and was asked for, oldest first. One that
// runs under a document which does not know the caller is shown all the same, and
// says so; one that cannot be read hides none of the others.
func (s *Server) pending(ctx context.Context, r *approvalv1.ListPendingRequest) ([]*approvalv1.Pending, error) {
	caller, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := s.waiting.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	var all []*approvalv1.Pending
	for _, id := range ids {
		d, err := s.view(ctx, caller, id)
		if d.state.Phase != procedure.PhaseApprove {
			if err != nil && ctx.Err() != nil {
				return nil, err
			}
			if err != nil && !errors.Is(err, errNotFound) {
				slog.WarnContext(ctx, "a release cannot be listed", slog.String("release", id), slog.Any("error", err))
			}
			continue
		}
		if r.GetService() != "" && d.state.Request.GetService() != r.GetService() {
			continue
		}
		p := d.pending()
		if err != nil {
			p.MayApprove, p.MayNotReason = false, status.Convert(err).Message()
		}
		if !r.GetMine() || p.GetMayApprove() {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *approvalv1.Pending) int { return strings.Compare(position(a), position(b)) })
	return all, nil
}

// position is the place of a release in the list: by time, then by name. It stays
// the same while others come and go, so that paging is stable.
func position(p *approvalv1.Pending) string {
	return p.GetRequested().AsTime().UTC().Format("2006-01-02T15:04:05.000000000Z") + " " + p.GetRelease()
}

// question tells lists apart, so that a page of one is not taken for a page of
// another: what it leaves out would look like the end.
func question(r *approvalv1.ListPendingRequest) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%t %s", r.GetMine(), r.GetService()))
	return hex.EncodeToString(sum[:8])
}

// pageToken returns the position in a token that was given in answer to the question.
func pageToken(t, question string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(t)
	after, own := strings.CutPrefix(string(b), question+" ")
	if err != nil || (len(b) > 0 && (!own || !positionPattern.MatchString(after))) {
		return "", refuse(codes.InvalidArgument, "INVALID_FIELD", "page_token is not one that this service gave",
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{
				Field: "page_token", Description: "not one that this service gave",
			}}})
	}
	return after, nil
}

var positionPattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z [a-z][a-z0-9-]{0,79}$`)

func (d desk) pending() *approvalv1.Pending {
	s := d.state
	_, missing := procedure.Count(s, d.now)
	p := &approvalv1.Pending{
		Release: s.Release, ChangeDigest: s.ChangeDigest, Request: s.Request, Artifacts: s.Artifacts, Targets: s.Targets,
		Previews: s.Previews, Gates: s.Gates, Findings: s.Findings, Quorum: s.Quorum, Missing: missing,
		ApproveBy: timestamppb.New(s.ApproveBy), Requested: timestamppb.New(s.RequestedAt),
	}
	for _, a := range s.Approvals {
		p.Approvals = append(p.Approvals, &approvalv1.GivenApproval{
			Person: a.Person, Groups: a.Groups, Comment: a.Comment,
			Time: timestamppb.New(a.Given), Expires: timestamppb.New(a.Expires),
		})
	}
	p.ShownDigest = shownDigest(p)
	if err := procedure.MayApprove(s, d.person, s.ChangeDigest, d.now); err != nil {
		p.MayNotReason = err.Error()
	} else {
		p.MayApprove = true
	}
	return p
}

// shownDigest is the digest of what is shown. It is made here and only compared
// with itself, so marshaled bytes are good enough.
func shownDigest(p *approvalv1.Pending) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func approval(d desk, r *approvalv1.ApproveRequest) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
		ChangeDigest: r.GetChangeDigest(), Comment: r.GetComment(), ShownDigest: r.GetShownDigest(),
		Expires: timestamppb.New(d.now.Add(d.index.Document().GetDeadlines().GetApprovalValid().AsDuration())),
	}}}
}
