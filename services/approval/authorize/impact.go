package authorize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ReportImpact implements approvalv1.ApprovalServiceServer: whoever sees an impact that
// nobody expected says so, and people are called (PROC-DEPLOY-001, "Escalation").
func (s *Server) ReportImpact(ctx context.Context, r *approvalv1.ReportImpactRequest) (*approvalv1.ReportImpactResponse, error) {
	_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
		if err := procedure.MayReportImpact(d.state); err != nil {
			return nil, err
		}
		if d.state.Impacts >= maxImpacts {
			return nil, precondition("%d impacts were reported already: say it to who was called", maxImpacts)
		}
		for i, customer := range r.GetCustomers() {
			if !d.serves(customer) {
				return nil, invalidField(fmt.Sprintf("customers[%d]", i), "no target of the release serves this customer")
			}
		}
		return &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{
			Description: r.GetDescription(), Customers: r.GetCustomers(),
		}}}, nil
	})
	return &approvalv1.ReportImpactResponse{}, err
}

// maxImpacts bounds the reports about one release: a history has an end.
const maxImpacts = 64

func (d desk) serves(customer string) bool {
	return slices.ContainsFunc(procedure.Targets(d.state.Request), func(t string) bool {
		return slices.Contains(d.index.Target(t).GetCustomers(), customer)
	})
}

// tellOfAttempt keeps that the caller tried to authorize an emergency and may not, so that
// people hear of it: the caller is refused whatever becomes of that.
func (s *Server) tellOfAttempt(ctx context.Context, release string, refused error) {
	_, err := s.decide(context.WithoutCancel(ctx), release, func(d desk) (*releasev1.Event, error) {
		if !procedure.TellsOfAttempt(d.state, d.person.GetId()) {
			return nil, errTold
		}
		return &releasev1.Event{Data: &releasev1.Event_AuthorizationRefused{AuthorizationRefused: &releasev1.AuthorizationRefused{
			Reason: refused.Error(),
		}}}, nil
	})
	if err != nil && !errors.Is(err, errTold) {
		slog.WarnContext(ctx, "cannot keep who tried to authorize an emergency", slog.String("release", release), slog.Any("error", err))
	}
}

// errTold says that there is nothing to tell: no emergency, or nothing new.
var errTold = precondition("nobody has to hear of it")
