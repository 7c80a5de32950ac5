package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// crowd are the people around the releases. They ask whichever approval service
// answers, and ask again where none does.
type crowd struct {
	run     *run
	clients map[string][]approvalv1.ApprovalServiceClient

	mu     sync.Mutex
	random *rand.Rand
	// wrong is when people approved something else, by release.
	wrong map[string]time.Time
	// decisions counts what was decided about escalated releases, early what was refused
	// because an executor that was lost could still come back.
	decisions map[string]int
	early     int
}

// bearer sends a person's token over a loopback connection.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return false }

func newCrowd(r *run) (*crowd, error) {
	c := &crowd{
		run: r, clients: map[string][]approvalv1.ApprovalServiceClient{}, wrong: map[string]time.Time{},
		decisions: map[string]int{}, random: rand.New(rand.NewPCG(r.cfg.Seed, 2)), //nolint:gosec // A test's dice.
	}
	for _, person := range people {
		token, err := os.ReadFile(r.plant.secretFile(person + ".token"))
		if err != nil {
			return nil, err
		}
		for _, address := range r.plant.grpc {
			conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithPerRPCCredentials(bearer(token)))
			if err != nil {
				return nil, err
			}
			c.clients[person] = append(c.clients[person], approvalv1.NewApprovalServiceClient(conn))
		}
	}
	return c, nil
}

// live lets everybody do what they do until the context ends.
func (c *crowd) live(ctx context.Context) {
	var wait sync.WaitGroup
	for _, approver := range []string{"carol", "dave", "erin"} {
		wait.Go(func() { c.every(ctx, 150*time.Millisecond, func(ctx context.Context) { c.approver(ctx, approver) }) })
	}
	wait.Go(func() { c.every(ctx, 200*time.Millisecond, c.operator) })
	wait.Wait()
}

func (c *crowd) every(ctx context.Context, long time.Duration, do func(context.Context)) {
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		do(bounded)
		cancel()
		pause(ctx, long)
	}
}

func (c *crowd) as(person string) approvalv1.ApprovalServiceClient {
	return c.clients[person][c.dice(len(c.clients[person]))]
}

func (c *crowd) dice(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// approver looks at what waits for this person, and decides. What fails is tried
// again at the next look.
func (c *crowd) approver(ctx context.Context, person string) {
	list, err := c.as(person).ListPending(ctx, &approvalv1.ListPendingRequest{Mine: true, PageSize: 200})
	if err != nil {
		return
	}
	for _, p := range list.GetPending() {
		if slices.ContainsFunc(p.GetApprovals(), func(a *approvalv1.GivenApproval) bool { return a.GetPerson() == person }) {
			continue
		}
		c.decide(ctx, person, p)
	}
}

func (c *crowd) decide(ctx context.Context, person string, p *approvalv1.Pending) {
	r := c.run.planned[p.GetRelease()]
	switch r.Fate {
	case fateNeglected:
		return
	case fateRejected:
		_ = c.run.history.do(call{Op: opReject, Person: person, Release: p.GetRelease()}, func() error {
			_, err := c.as(person).Reject(ctx, &approvalv1.RejectRequest{Release: p.GetRelease(), Reason: "It was to be rejected."})
			return err
		})
		return
	case fateWithdrawn:
		_ = c.run.history.do(call{Op: opWithdraw, Person: "alice", Release: p.GetRelease()}, func() error {
			_, err := c.as("alice").Withdraw(ctx, &approvalv1.WithdrawRequest{Release: p.GetRelease(), Reason: "It was to be withdrawn."})
			return err
		})
		return
	}
	answer, err := c.as(person).GetPending(ctx, &approvalv1.GetPendingRequest{Release: p.GetRelease()})
	if err != nil {
		return
	}
	p = answer.GetPending()
	digest := p.GetChangeDigest()
	if r.Wrong && c.misled(p.GetRelease()) {
		// Somebody shows them another change. Their approval of it must not count.
		digest = digestOf("another change")
	}
	var signature *releasev1.ApprovalSignature
	if !c.run.cfg.Unsigned {
		if signature, err = signed(p, answer.GetSigning(), digest, c.run.world.people[person]); err != nil {
			c.run.say("%s does not sign for %s: %v", person, p.GetRelease(), err)
			return
		}
	}
	_ = c.run.history.do(call{Op: opApprove, Person: person, Release: p.GetRelease(), Digest: digest}, func() error {
		_, err := c.as(person).Approve(ctx, &approvalv1.ApproveRequest{
			Release: p.GetRelease(), ChangeDigest: digest, ShownDigest: p.GetShownDigest(), Signature: signature,
		})
		return err
	})
}

// misled reports whether people still approve something else, which they do for a
// second.
func (c *crowd) misled(release string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, ok := c.wrong[release]
	if !ok {
		since = time.Now()
		c.wrong[release] = since
	}
	return time.Since(since) < time.Second
}

// operator aborts, decides, acknowledges, closes and reviews.
func (c *crowd) operator(ctx context.Context) {
	for _, s := range c.run.watcher.open() {
		if ctx.Err() != nil {
			return
		}
		switch {
		case c.run.planned[s.Release].Fate == fateAborted && s.Phase == procedure.PhaseExecute && !s.Started():
			// It can be aborted from its claim on. The executor that claims it is to sleep
			// until it has been.
			c.run.waylay("execute.claimed")
		case c.run.planned[s.Release].Fate == fateAborted && slices.Contains(procedure.Actions(s), "abort"):
			_ = c.run.history.do(call{Op: opAbort, Person: "dave", Release: s.Release}, func() error {
				_, err := c.as("dave").Abort(ctx, &approvalv1.AbortRequest{Release: s.Release, Reason: "It was to be aborted."})
				return err
			})
		case s.Phase == procedure.PhaseEscalated:
			c.intervene(ctx, s)
		case len(s.OpenEscalations()) > 0 && called(s):
			_ = c.run.history.do(call{Op: opAcknowledge, Person: "erin", Release: s.Release}, func() error {
				_, err := c.as("erin").Acknowledge(ctx, &approvalv1.AcknowledgeRequest{Release: s.Release, Comment: "on it"})
				return err
			})
		case procedure.MayClose(s):
			_ = c.run.history.do(call{Op: opClose, Person: "erin", Release: s.Release}, func() error {
				_, err := c.as("erin").CloseIncident(ctx, &approvalv1.CloseIncidentRequest{Release: s.Release, Reason: "It is over."})
				return err
			})
		case s.ReviewOwed() && s.Recorded:
			_ = c.run.history.do(call{Op: opReview, Person: "frank", Release: s.Release}, func() error {
				_, err := c.as("frank").CompleteReview(ctx, &approvalv1.CompleteReviewRequest{
					Release: s.Release, Result: releasev1.ReviewCompleted_RESULT_JUSTIFIED, ResidualRisk: "None known.",
				})
				return err
			})
		}
	}
}

// called reports whether somebody was called for every open escalation.
func called(s procedure.State) bool {
	return !slices.ContainsFunc(s.Escalations, func(e procedure.Escalation) bool { return e.AcknowledgedBy == "" && e.Rung == 0 })
}

// intervene decides how an escalated release goes on: by what the operator sees on
// the targets where nobody knows, otherwise by chance, and in the end by accepting.
func (c *crowd) intervene(ctx context.Context, s procedure.State) {
	choices := procedure.Interventions(s)
	action := releasev1.Intervened_ACTION_ACCEPT
	c.mu.Lock()
	tries := c.decisions[s.Release]
	c.mu.Unlock()
	if tries < 3 {
		action = choices[c.dice(len(choices))]
	}
	if slices.Contains(choices, releasev1.Intervened_ACTION_CONFIRM_DONE) {
		// Nobody waits until who was lost cannot come back any more: the procedure does,
		// and refuses what they decide before.
		switch {
		case c.run.carriesAll(ctx, s):
			action = releasev1.Intervened_ACTION_CONFIRM_DONE
		case action == releasev1.Intervened_ACTION_CONFIRM_DONE:
			action = releasev1.Intervened_ACTION_ACCEPT
		}
	}
	err := c.run.history.do(call{Op: opIntervene, Person: "erin", Release: s.Release, Action: action.String()}, func() error {
		_, err := c.as("erin").Intervene(ctx, &approvalv1.InterveneRequest{Release: s.Release, Action: action, Reason: "Looked at the targets."})
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.decisions[s.Release]++
	case time.Now().Before(s.DecideFrom):
		c.early++
	}
}

func (c *crowd) refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.early
}

// carriesAll reports whether the targets in question carry what they should.
func (r *run) carriesAll(ctx context.Context, s procedure.State) bool {
	targets := s.WaveTargets()
	if s.EscalatedRollback {
		targets = s.Touched
	}
	for _, t := range targets {
		want := s.PrimaryArtifact().GetDigest()
		if s.EscalatedRollback {
			want = s.Preview(t).GetRollbackDigest()
		}
		if r.world.carries(ctx, t) != want {
			return false
		}
	}
	return true
}
