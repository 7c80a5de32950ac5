package authorize

import (
	"context"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// WhoCan implements approvalv1.ApprovalServiceServer: the access report (U5). It says what
// the document says; who has a part in a change approves it by none of these rights.
func (s *Server) WhoCan(ctx context.Context, r *approvalv1.WhoCanRequest) (*approvalv1.WhoCanResponse, error) {
	_, index, err := s.known(ctx)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	active, err := standing.ReadProcedure(ctx, s.store, s.procedureID)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	all, err := standing.ReadDelegations(ctx, s.store, s.procedureID)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	for field, named := range map[string]bool{
		"environment": r.GetEnvironment() == "" || index.Environment(r.GetEnvironment()) != nil,
		"service":     r.GetService() == "" || index.Service(r.GetService()) != nil,
		"person":      r.GetPerson() == "" || index.Person(r.GetPerson()) != nil,
	} {
		if !named {
			return nil, invalidField(field, "the procedure knows none of that name")
		}
	}
	report := report{index: index, delegations: all.All, now: s.now()}
	report.collect(r)
	return &approvalv1.WhoCanResponse{ProcedureDigest: active.Digest, ProcedureVersion: active.Version, Rights: report.rights, OnCall: report.onDuty()}, nil
}

// report collects rights.
type report struct {
	index       *policy.Index
	delegations []*releasev1.Delegation
	now         time.Time
	person      string
	rights      []*approvalv1.Right
}

func (p *report) collect(r *approvalv1.WhoCanRequest) {
	doc := p.index.Document()
	if r.GetPerson() != "" {
		p.person = p.index.Person(r.GetPerson()).GetId()
	}
	for _, e := range doc.GetEnvironments() {
		if r.GetEnvironment() != "" && e.GetName() != r.GetEnvironment() {
			continue
		}
		p.rules("approve", e, e.GetApprovals())
		p.rules("approve_high_risk", e, doc.GetHighRiskApprovals())
		p.rules("approve_no_rollback", e, doc.GetNoRollbackApprovals())
		if environments := doc.GetRollbackReadiness().GetEnvironments(); len(environments) == 0 || slices.Contains(environments, e.GetName()) {
			p.rules("approve_no_rollback", e, doc.GetRollbackReadiness().GetApprovals())
		}
		p.byRisk(e, r.GetService())
		p.rules("authorize_emergency", e, []*policyv1.Approvals{{Group: doc.GetEmergency().GetGroup(), Count: 1}})
		p.rules("authorize_over_quota", e, doc.GetEmergency().GetQuota().GetOver())
	}
	p.add(&approvalv1.Right{Action: "review_emergency", Group: doc.GetEmergency().GetReviewGroup(), Count: 1}, membersDo)
	p.add(&approvalv1.Right{Action: "operate", Group: doc.GetOperatorsGroup(), Count: 1}, onCallDo)
	for _, s := range doc.GetServices() {
		if r.GetService() != "" && s.GetName() != r.GetService() {
			continue
		}
		for _, g := range s.GetOwnerGroups() {
			p.add(&approvalv1.Right{Service: s.GetName(), Action: "own", Group: g, Count: 1}, membersDo)
		}
		for _, c := range s.GetChecks() {
			for _, g := range c.GetSignOff().GetGroups() {
				p.add(&approvalv1.Right{Service: s.GetName(), Action: "sign_off", Check: c.GetName(), Group: g, Count: 1}, onCallDo)
			}
		}
	}
}

func (p *report) rules(action string, e *policyv1.Environment, rules []*policyv1.Approvals) {
	for _, rule := range rules {
		p.add(&approvalv1.Right{
			Environment: e.GetName(), Action: action, Group: rule.GetGroup(), Count: rule.GetCount(),
			Signed: rule.GetSigned() || e.GetRequireSignedApprovals(),
		}, standInsDo)
	}
}

// byRisk adds what levels of the risk score ask for in an environment: besides its approvals,
// or by a lane in place of them, of the services for which that is open.
func (p *report) byRisk(e *policyv1.Environment, service string) {
	for _, level := range p.index.Document().GetRiskScore().GetLevels() {
		for _, rule := range level.GetApprovals() {
			p.add(&approvalv1.Right{
				Environment: e.GetName(), Action: "approve_risk", Score: level.GetFrom(), Group: rule.GetGroup(), Count: rule.GetCount(),
				Signed: rule.GetSigned() || e.GetRequireSignedApprovals(),
			}, standInsDo)
		}
		lane := level.GetLane()
		if !slices.Contains(lane.GetEnvironments(), e.GetName()) {
			continue
		}
		for _, open := range lane.GetServices() {
			for _, rule := range lane.GetApprovals() {
				if service != "" && open != service {
					continue
				}
				p.add(&approvalv1.Right{
					Environment: e.GetName(), Service: open, Action: "approve_lane", Score: level.GetFrom(), Lane: lane.GetName(),
					Group: rule.GetGroup(), Count: rule.GetCount(), Signed: rule.GetSigned() || policy.LaneSigns(p.index.Document(), e.GetName()),
				}, standInsDo)
			}
		}
	}
}

// whoDoes is who has a right besides the members of its group.
type whoDoes int

const (
	// membersDo: nobody. onCallDo: who is on call. standInsDo: they, and stand-ins.
	membersDo whoDoes = iota
	onCallDo
	standInsDo
)

// add fills in who has the right: the members of the group, and besides them who is on call
// for it now and who stands in for one of them, as far as those may.
func (p *report) add(r *approvalv1.Right, who whoDoes) {
	has := func(person, standInFor string, shift *releasev1.Shift) {
		if p.person == "" || p.person == person {
			r.Holders = append(r.Holders, &approvalv1.Holder{
				Person: person, StandInFor: standInFor, CanSign: consent.CanSign(p.index, person, p.now), OnCall: shift,
			})
		}
	}
	holders := p.index.People(r.GetGroup())
	if who != membersDo {
		holders = p.index.PeopleAt(r.GetGroup(), p.now)
	}
	for _, id := range holders {
		var shift *releasev1.Shift
		if !slices.Contains(p.index.People(r.GetGroup()), id) {
			_, shift = p.index.OnCall(r.GetGroup(), p.now)
		}
		has(id, "", shift)
		if who != standInsDo || r.GetSigned() {
			continue // nobody signs, reviews or operates for another
		}
		for _, other := range p.index.Document().GetPeople() {
			right := p.index.StandIn(p.delegations, id, other.GetId(), p.now)
			if slices.Contains(right.GetGroups(), r.GetGroup()) && !other.GetInactive() && !other.GetMachine() {
				has(other.GetId(), id, shift)
			}
		}
	}
	if p.person == "" || len(r.GetHolders()) > 0 {
		p.rights = append(p.rights, r)
	}
}

// onDuty are those who are on call now, in the order of the document.
func (p *report) onDuty() []*approvalv1.OnDuty {
	var out []*approvalv1.OnDuty
	for _, g := range p.index.Document().GetGroups() {
		if person, shift := p.index.OnCall(g.GetName(), p.now); shift != nil && (p.person == "" || p.person == person) {
			out = append(out, &approvalv1.OnDuty{Person: person, Shift: shift})
		}
	}
	return out
}
