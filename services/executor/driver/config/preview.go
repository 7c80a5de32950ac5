package config

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blackdice/shipwarden/internal/bucket"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff implements driver.Driver: what would change, the preview says by itself. It follows
// from two digests, which the start compares.
func (d *Driver) Diff(context.Context, driver.Plan) (driver.Diff, error) { return driver.Diff{}, nil }

// Preview implements driver.Driver (PD-3.5): every value that would change, and whether the
// document of the way back is in the bucket's history. A document that the bucket does not
// take, or that does not fit its schema, is refused with the places at fault.
func (d *Driver) Preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	p, err := d.preview(ctx, plan)
	if err != nil {
		return driver.Preview{}, fmt.Errorf("preview target %s: %w", d.target, err)
	}
	return p, nil
}

func (d *Driver) preview(ctx context.Context, plan driver.Plan) (driver.Preview, error) {
	var p driver.Preview
	if err := check(plan); err != nil {
		return p, err
	}
	limits, err := d.usable(ctx)
	if err != nil {
		return p, err
	}
	s, err := d.load(ctx)
	if err == nil {
		err = s.foreign(d.target)
	}
	if err == nil {
		err = s.forgotten(plan)
	}
	if err != nil {
		return p, err
	}
	back, err := d.dryRun(ctx, plan)
	if err != nil {
		return p, err
	}
	p.RollbackReady, p.RollbackReason = back.Possible, back.Reason
	words, text, err := d.changes(ctx, plan, s, limits)
	if err != nil {
		return p, err
	}
	before := s.Digest
	if before == "" {
		before = "nothing"
	}
	p.Summary = fmt.Sprintf("%s -> %s, %s", before, plan.Artifact.Digest, words)
	if s.Digest == plan.Artifact.Digest {
		p.Summary = fmt.Sprintf("carries %s already", s.Digest)
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "target:   %s\nentry:    %s\ncurrent:  %s\nnew:      %s\nversion:  %s\nartifact: %s from %s\nrollback: %s\n\nwhat would change in the document\n%s",
		d.target, d.entry, before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location, p.RollbackReason, text)
	p.Detail = detail.String()
	return p, nil
}

// changes says what would change, in a few words and in full.
func (d *Driver) changes(ctx context.Context, plan driver.Plan, s state, limits bucket.Limits) (words, text string, err error) {
	if !plan.Artifact.HasContent() {
		return "content not at hand", "the document is not at hand, so that nobody can say\n", nil
	}
	body, err := content(ctx, plan.Artifact, limits)
	if err != nil {
		return "", "", err
	}
	after, err := d.parse(plan.Artifact.Location, body)
	if err != nil {
		return "", "", err
	}
	var before []any
	if s.Present {
		// Nearly all JSON is YAML; what neither of both is was written by hand, or before.
		own, _ := formatOf(plan.Artifact.Location) // as parse has it
		for _, f := range []format{own, formatYAML, formatJSON} {
			if before, err = read(f, s.Value); err == nil {
				break
			}
		}
		if err != nil {
			all := compare(nil, after)
			return "all of it is replaced", "what is there now cannot be read as such a document: all of it is replaced\n" + all.text(), nil //nolint:nilerr // It is the answer.
		}
	}
	diff := compare(before, after)
	return diff.summary(), diff.text(), nil
}

// minHistory is how many revisions of an entry a bucket keeps at least: every takeover of an
// effect, and every seal, uses one up, and the way back must not be pushed out by them.
const minHistory = 8

// usable asks for the bucket's limits, and refuses a bucket in which no document can stay.
func (d *Driver) usable(ctx context.Context) (bucket.Limits, error) {
	limits, err := d.entry.Limits(ctx)
	switch {
	case err != nil:
		return limits, wrong(err)
	case limits.Mirror:
		return limits, fmt.Errorf("entry %s: the bucket is a mirror, and cannot be written: %w", d.entry, driver.ErrInvalid)
	case limits.Expires:
		return limits, fmt.Errorf("entry %s: what is in the bucket goes away after a while (TTL), or for what is newer: %w", d.entry, driver.ErrInvalid)
	case limits.History < minHistory:
		return limits, fmt.Errorf("entry %s: the bucket keeps %d revisions of an entry, and must keep %d: takeovers and seals use them up, and the way back is one of them: %w",
			d.entry, limits.History, minHistory, driver.ErrInvalid)
	}
	return limits, d.bounded(limits)
}

// DryRunRollback implements driver.Driver: the document of the way back is in the bucket's
// history, byte for byte, and will be there still when the release has been placed.
func (d *Driver) DryRunRollback(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	out, err := d.dryRun(ctx, plan)
	if err != nil {
		return driver.DryRun{}, fmt.Errorf("dry run of the way back of target %s: %w", d.target, err)
	}
	return out, nil
}

func (d *Driver) dryRun(ctx context.Context, plan driver.Plan) (driver.DryRun, error) {
	out := driver.DryRun{Source: releasev1.RollbackProof_SOURCE_TARGET}
	not := func(format string, args ...any) (driver.DryRun, error) {
		out.Reason = fmt.Sprintf(format, args...)
		return out, nil
	}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	if plan.Previous == "" {
		return not("nothing was placed before: there is no document to go back to")
	}
	if _, err := artifact.Hex(plan.Previous); err != nil {
		return not("%v", err)
	}
	all, limits, err := d.history(ctx)
	if errors.Is(err, driver.ErrInvalid) {
		return not("%v", err)
	}
	if err != nil {
		return out, err
	}
	previous, there := find(all, plan.Previous)
	switch {
	case !there:
		return not("%s is not in the bucket's history any more", plan.Previous)
	case limits.History < minHistory:
		return not("the bucket keeps %d revisions of the entry, and must keep %d: what the release replaces would be pushed out by takeovers and seals", limits.History, minHistory)
	case limits.Mirror || limits.Expires:
		return not("the bucket is a mirror, or what is in it goes away")
	}
	if newest := all[len(all)-1].Digest; newest != plan.Artifact.Digest {
		if newest != plan.Previous && len(all) >= limits.History {
			if _, still := find(all[1:], plan.Previous); !still {
				return not("%s is the oldest revision that the bucket keeps, and the release would push it out", plan.Previous)
			}
		}
		// The release takes its part before.
		limits.Room -= min(limits.Room, plan.Artifact.Size+headerRoom)
	}
	if err := fits(previous.Size, limits); err != nil {
		return not("%s cannot be written again: %v", plan.Previous, err)
	}
	out.Possible = true
	out.Steps = fmt.Sprintf("put:     %s <- %s, from the bucket's history\nversion: %s\n", d.entry, plan.Previous, plan.PreviousVersion)
	out.Reason = fmt.Sprintf("%s is in the bucket's history", plan.Previous)
	return out, nil
}
