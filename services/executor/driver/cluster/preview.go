package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Questions are those that a driver of targets in namespaces answers without changing anything, as
// far as they are the same however it places what is released. It is safe for concurrent use.
type Questions struct {
	*Namespace
	// Release is the name of what is placed as one within the namespace, "" where nothing is.
	Release string
	// Time bounds an answer, and Ready is how long what was placed may take to be ready, for people.
	Time, Ready time.Duration
	// Check refuses a plan that the driver cannot place.
	Check func(driver.Plan) error
	// Back tries the way back of a plan that has one by its Previous, by what the record says.
	// Out is to be filled in.
	Back func(ctx context.Context, s *Server, r Record, plan driver.Plan, out driver.DryRun) (driver.DryRun, error)
}

// Preview is where the plan would be placed, what is there by the record, and whether there is a
// way back (PD-3.5). What would change the server is asked by Diff.
func (q Questions) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, q.Time)
	defer cancel()
	p, err := q.preview(ctx, plan)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", q.Target, Told(err))
	}
	return p, nil
}

func (q Questions) preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	if err := q.Check(plan); err != nil {
		return driver.Preview{}, err
	}
	s, r, back, err := q.back(ctx, plan)
	if err != nil {
		return driver.Preview{}, err
	}
	before := r.Carries
	if before == "" {
		before = "nothing"
	}
	place, release := "in namespace "+q.Name, ""
	if q.Release != "" {
		place, release = fmt.Sprintf("as release %s %s", q.Release, place), fmt.Sprintf("release:   %s\n", q.Release)
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "target:    %s\nserver:    %s\nnamespace: %s\n%scurrent:   %s\nnew:       %s\nversion:   %s\nartifact:  %s from %s\nready in:  %s\nrollback:  %s\n",
		q.Target, Address(s.Address), q.Name, release, before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location, q.Ready, back.Reason)
	for _, o := range r.Objects {
		fmt.Fprintf(&detail, "there:     %s\n", o)
	}
	p := driver.Preview{
		Summary: fmt.Sprintf("%s -> %s %s", before, plan.Artifact.Digest, place), Detail: detail.String(),
		RollbackReady: back.Possible, RollbackReason: back.Reason,
	}
	if r.Carries == plan.Artifact.Digest && !r.Pending {
		p.Summary = fmt.Sprintf("carries %s already, %s", r.Carries, place)
	}
	return p, nil
}

// DryRunRollback says whether what the plan goes back to could be placed again, and how.
func (q Questions) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, q.Time)
	defer cancel()
	_, _, out, err := q.back(ctx, plan)
	if err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", q.Target, Told(err))
	}
	return out, nil
}

func (q Questions) back(ctx context.Context, plan driver.Plan) (*Server, Record, driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	s, err := q.Open()
	if err != nil {
		return nil, Record{}, out, err
	}
	r, err := q.Load(ctx, s)
	if err != nil {
		return nil, Record{}, out, err
	}
	if plan.Previous == "" {
		out.Reason = "nothing was placed before: there is nothing to go back to"
		return s, r, out, ctx.Err()
	}
	out, err = q.Back(ctx, s, r, plan, out)
	return s, r, out, err
}

// NotBack is the answer where an error came up on the try of the way back to a digest: that it
// cannot be gone, or an error where nobody knows.
func NotBack(ctx context.Context, out driver.DryRun, digest string, err error) (driver.DryRun, error) {
	switch {
	case ctx.Err() != nil:
		return out, context.Cause(ctx)
	case Passes(err):
		return out, err
	}
	out.Reason = fmt.Sprintf("%s cannot be placed again: %v", digest, Told(err))
	return out, nil
}
