package authorize

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// SignOff implements approvalv1.ApprovalServiceServer (PD-6.1). Who is asked is what the validator said
// when the verification began, and whether the answer counts is for the procedure to say.
func (s *Server) SignOff(ctx context.Context, r *approvalv1.SignOffRequest) (*approvalv1.SignOffResponse, error) {
	number := r.GetNumber()
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if number = r.GetNumber(); number == 0 {
			number = d.state.Verifications + 1
		}
		for _, o := range d.state.SignOffs {
			if o.Check != r.GetCheck() {
				continue
			}
			if err := d.signsOff(o); err != nil {
				return nil, err
			}
		}
		return &releasev1.Event{Data: &releasev1.Event_SignedOff{SignedOff: &releasev1.SignedOff{
			Check: r.GetCheck(), Number: number, Passed: r.GetPassed(), Comment: r.GetComment(),
		}}}, nil
	})
	if err != nil {
		return nil, err
	}
	return &approvalv1.SignOffResponse{Number: number}, nil
}

// signsOff refuses whoever is in none of a check's groups, and is not on call for one, and who has a
// part in the change.
func (d desk) signsOff(o procedure.SignOff) error {
	if !d.inOneOf(o.Groups...) {
		return denied("%s is in none of the groups that may sign off %s: %s", d.person.GetId(), o.Check, strings.Join(o.Groups, ", "))
	}
	if why := d.part(); why != "" {
		return refuse(codes.PermissionDenied, "OWN_CHANGE", "nobody signs off their own change: "+why)
	}
	return nil
}

// wanted are the checks that people are asked and can still answer, with what that means for the
// caller; unknown is why the release's document does not know them, nil where it does.
func (d desk) wanted(unknown error) (all []*approvalv1.WantedSignOff) {
	r, back := d.state.Request, d.state.Phase == procedure.PhaseVerifyRollback
	targets := d.state.WaveTargets()
	if back {
		targets = d.state.Touched
	}
	for _, o := range procedure.Answerable(d.state, d.now) {
		w := &approvalv1.WantedSignOff{
			Release: d.state.Release, Service: r.GetService(), Environment: r.GetEnvironment(), Version: r.GetVersion(),
			Check: o.Check, Question: o.Question, Groups: o.Groups, Until: timestamppb.New(o.Until),
			Number: d.state.Verifications + 1, Wave: d.state.Wave, Rollback: back, Targets: targets,
		}
		err := unknown
		if err == nil {
			err = d.signsOff(o)
		}
		if err != nil {
			w.MayNotReason = status.Convert(err).Message()
		} else if w.MayNotReason = procedure.MaySignOff(d.state, d.person, o.Check, d.now); w.GetMayNotReason() == "" {
			w.MaySignOff = true
		}
		all = append(all, w)
	}
	return all
}
