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
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent/signer"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shown"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/whatif"
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
	p, err := d.pending()
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	o, err := whatif.Begin(d.documents(), d.state, s.dry.Known(ctx, d.documents(), d.state, d.now), d.now)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	p.Holds, p.EarliestStart = d.paused(o.GetHolds()), o.GetEarliestStart()
	return &approvalv1.GetPendingResponse{Pending: p, Signing: d.signing()}, nil
}

// ListPending implements approvalv1.ApprovalServiceServer.
func (s *Server) ListPending(ctx context.Context, r *approvalv1.ListPendingRequest) (*approvalv1.ListPendingResponse, error) {
	after, err := pageToken(r)
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
	out, bytes, n, last := &approvalv1.ListPendingResponse{}, 0, 0, ""
	for _, w := range all {
		if w.position <= after {
			continue
		}
		bytes += w.size()
		if n == size || (n > 0 && bytes > maxPage) {
			out.NextPageToken = base64.RawURLEncoding.EncodeToString([]byte(question(r) + " " + last))
			break
		}
		if n, last = n+1, w.position; w.pending != nil {
			out.Pending = append(out.Pending, w.pending)
		}
		out.SignOffs = append(out.SignOffs, w.signOffs...)
	}
	return out, nil
}

// maxPage bounds a page in bytes, below what one answer may have.
const maxPage = 768 << 10

// waiter is a release that waits for people: for approvals, or for checks to be signed off.
type waiter struct {
	position string
	pending  *approvalv1.Pending
	signOffs []*approvalv1.WantedSignOff
}

func (w waiter) size() int {
	size := proto.Size(w.pending)
	for _, o := range w.signOffs {
		size += proto.Size(o)
	}
	return size
}

// pending returns every release that waits and was asked for, oldest first. One that
// runs under a document which does not know the caller is shown all the same, and
// says so; one that cannot be read hides none of the others.
func (s *Server) pending(ctx context.Context, r *approvalv1.ListPendingRequest) ([]waiter, error) {
	caller, active, err := s.known(ctx)
	if err != nil {
		return nil, err
	}
	ids, err := s.waiting.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	var all []waiter
	for _, id := range ids {
		d, err := s.view(ctx, caller, active, id)
		if d.state.Phase != procedure.PhaseApprove && len(d.state.SignOffs) == 0 {
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
		w := waiter{position: position(d.state)}
		if d.state.Phase != procedure.PhaseApprove {
			w.signOffs = slices.DeleteFunc(d.wanted(err), func(o *approvalv1.WantedSignOff) bool { return r.GetMine() && !o.GetMaySignOff() })
			if len(w.signOffs) > 0 {
				all = append(all, w)
			}
			continue
		}
		var unread error
		if w.pending, unread = d.pending(); unread != nil {
			return nil, unread
		}
		if err != nil {
			w.pending.MayApprove, w.pending.MayNotReason = false, status.Convert(err).Message()
		}
		if !r.GetMine() || w.pending.GetMayApprove() {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b waiter) int { return strings.Compare(a.position, b.position) })
	return all, nil
}

// position is the place of a release in the list: by time, then by name. It stays
// the same while others come and go, so that paging is stable.
func position(s procedure.State) string {
	return s.RequestedAt.UTC().Format("2006-01-02T15:04:05.000000000Z") + " " + s.Release
}

// question is what tells questions apart whose answers are paged: a position in the
// answer to one says nothing about that to another.
func question(r *approvalv1.ListPendingRequest) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%t %s", r.GetMine(), r.GetService()))
	return hex.EncodeToString(sum[:12])
}

// pageToken returns the position behind which the page begins; "" is the beginning. A
// token gives no access, so it need not be a secret.
func pageToken(r *approvalv1.ListPendingRequest) (string, error) {
	if r.GetPageToken() == "" {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(r.GetPageToken())
	asked, position, _ := strings.Cut(string(b), " ")
	if err != nil || asked != question(r) || !positionPattern.MatchString(position) {
		return "", invalidField("page_token", "not from a previous answer to the same question")
	}
	return position, nil
}

var positionPattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z [a-z][a-z0-9-]{0,79}$`)

// pending is what there is to be seen, with what it means for the person.
func (d desk) pending() (*approvalv1.Pending, error) {
	p := pendingOf(d.index, d.state)
	document, _, err := shown.Document(p)
	if err != nil {
		return nil, err
	}
	p.ShownDigest = evidence.Digest(document)
	_, p.Missing = procedure.Count(d.state, d.now)
	if p.Holds, p.EarliestStart, err = d.holds(); err != nil {
		return nil, err
	}
	p.Holds = d.paused(p.GetHolds())
	for _, q := range p.GetMissing() {
		if person, shift := d.index.OnCall(q.GetGroup(), d.now); shift != nil && !slices.ContainsFunc(p.GetOnCall(), func(o *approvalv1.OnDuty) bool { return proto.Equal(o.GetShift(), shift) }) {
			p.OnCall = append(p.OnCall, &approvalv1.OnDuty{Person: person, Shift: shift})
		}
	}
	d.asOnCall(d.needed()...)
	if err := procedure.MayApprove(d.state, d.person, d.state.ChangeDigest, d.now); err != nil {
		p.MayNotReason = err.Error()
	} else {
		p.MayApprove = true
	}
	return p, nil
}

// paused adds a pause to what would hold the start: an approval does not end it.
func (d desk) paused(holds []*releasev1.HoldReason) []*releasev1.HoldReason {
	said := slices.ContainsFunc(holds, func(h *releasev1.HoldReason) bool { return h.GetRule() == procedure.HoldPaused })
	if said || !d.state.Paused() {
		return holds
	}
	return append([]*releasev1.HoldReason{procedure.PauseHold(d.state)}, holds...)
}

// pendingOf is what there is to be seen of a release in that state, by whomever.
func pendingOf(index *policy.Index, s procedure.State) *approvalv1.Pending {
	p := &approvalv1.Pending{
		Release: s.Release, ChangeDigest: s.ChangeDigest, Request: s.Request, Artifacts: s.Artifacts, Targets: s.Targets,
		Previews: s.Previews, Gates: s.Gates, Findings: s.Findings, Quorum: s.Quorum,
		ApproveBy: timestamppb.New(s.ApproveBy), Requested: timestamppb.New(s.RequestedAt), Checks: checks(index, s),
		Chosen: s.Chosen,
	}
	for _, a := range s.Approvals {
		p.Approvals = append(p.Approvals, &approvalv1.GivenApproval{
			Person: a.Person, Groups: a.Groups, Comment: a.Comment,
			Time: timestamppb.New(a.Given), Expires: timestamppb.New(a.Expires), SignedBy: signer.Of(a.Signature), StandInFor: a.StandIn.GetPerson(),
		})
	}
	for _, o := range s.Overrides {
		p.Exceptions = append(p.Exceptions, &approvalv1.FreezeException{
			Freeze: o.Freeze, FreezeDigest: o.Digest, Person: o.Person, Time: timestamppb.New(o.Given), Reason: o.Reason, Ticket: o.Ticket,
		})
	}
	return p
}

// checks are what decides whether the release is good: those of the catalogue, and
// those of the request that the catalogue does not name itself.
func checks(index *policy.Index, s procedure.State) []*releasev1.Check {
	all := slices.Clone(index.Service(s.Request.GetService()).GetChecks())
	named := len(all)
	for _, c := range s.Request.GetValidation().GetChecks() {
		if !slices.ContainsFunc(all[:named], func(o *releasev1.Check) bool { return o.GetName() == c.GetName() }) {
			all = append(all, c)
		}
	}
	return all
}

// until is until when an approval counts that is given now.
func (d desk) until() time.Time {
	return procedure.ValidUntil(d.state, d.now, d.index.Document().GetDeadlines().GetApprovalValid().AsDuration())
}

// Shown is what approvers were shown of a release in that state, as it is kept under the
// shown_digest of their approvals.
func Shown(index *policy.Index, s procedure.State) ([]byte, error) {
	document, _, err := shown.Document(pendingOf(index, s))
	return document, err
}
