package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// lookEvery is the time between two looks at objects that are not ready.
const lookEvery = 500 * time.Millisecond

var (
	errFailed = errors.New("has failed")
	errSlow   = errors.New("not ready in time")
)

// Ready waits until every object is as it is to be: after those that were waited for, all are
// looked at once more. Why says in a line what the one lacks that
// is not; the error says the same.
func (c Change) Ready(ctx context.Context) (why string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, errSlow)
	defer cancel()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	all, began := c.Objects.Refs(), time.Now()
	waiting := all
	for {
		if err := c.Holds(ctx); err != nil {
			return why, slow(ctx, why, err)
		}
		var left []Ref
		for _, r := range waiting {
			state, message, err := c.state(ctx, r, time.Since(began))
			switch {
			case err != nil:
				return why, slow(ctx, why, fmt.Errorf("%s: %w", r, err))
			case state == status.FailedStatus:
				return fmt.Sprintf("%s: %s", r, message), fmt.Errorf("%s: %w: %s", r, errFailed, message)
			case state != status.CurrentStatus:
				left = append(left, r)
				why = fmt.Sprintf("%s: %s", r, message)
			}
		}
		if len(left) == 0 {
			if len(waiting) == len(all) {
				return "", nil
			}
			waiting = all
			continue
		}
		waiting = left
		select {
		case <-ctx.Done():
			return why, slow(ctx, why, ctx.Err())
		case <-ticker.C:
		}
	}
}

// slow says what was waited for where an error came because the time was up.
func slow(ctx context.Context, why string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if why == "" {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %s", context.Cause(ctx), why)
}

// State is what kstatus says of an object, whenever it began to be so.
func (c Change) State(ctx context.Context, r Ref) (state status.Status, message string, err error) {
	return c.state(ctx, r, math.MaxInt64)
}

// state is what kstatus says of an object for which was waited so long.
func (c Change) state(ctx context.Context, r Ref, waited time.Duration) (state status.Status, message string, err error) {
	err = Again(ctx, func() (bool, error) {
		found, _, err := c.Live(ctx, c.Server, r)
		if err != nil {
			return false, err
		}
		if found == nil {
			state, message = status.NotFoundStatus, "is not there any more"
			return true, nil
		}
		result, err := status.Compute(found)
		if err != nil {
			return false, final{err}
		}
		state, message = result.Status, result.Message
		if state == status.FailedStatus && outdated(found, waited) {
			state = status.InProgressStatus
		}
		return true, nil
	})
	return state, message, err
}

// defaultDeadline is the progressDeadlineSeconds of a Deployment that names none.
const defaultDeadline = 10 * time.Minute

// outdated reports whether a Deployment says of a time before it was applied that it has
// failed. Its controller takes that back when there is progress, and not when what is wanted
// has changed, as the number of replicas; so it has its own deadline from now on.
func outdated(found *unstructured.Unstructured, waited time.Duration) bool {
	if RefOf(found).Group != "apps" || found.GetKind() != "Deployment" {
		return false
	}
	deadline := defaultDeadline
	if seconds, there, err := unstructured.NestedInt64(found.Object, "spec", "progressDeadlineSeconds"); there && err == nil {
		deadline = time.Duration(seconds) * time.Second
	}
	applied := time.Time{}
	for _, by := range found.GetManagedFields() {
		if by.Manager == Manager && by.Operation == metav1.ManagedFieldsOperationApply && by.Time != nil {
			applied = by.Time.Time
		}
	}
	return waited < deadline && said(found, "Progressing").Before(applied.Add(time.Second))
}

// said is when an object has said last how a condition of it is; the zero time where it has
// not, or nobody can read it. Servers write seconds.
func said(found *unstructured.Unstructured, condition string) time.Time {
	all, _, _ := unstructured.NestedSlice(found.Object, "status", "conditions")
	for _, one := range all {
		if fields, ok := one.(map[string]any); ok && fields["type"] == condition {
			text, _ := fields["lastUpdateTime"].(string)
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return time.Time{}
			}
			return at
		}
	}
	return time.Time{}
}
