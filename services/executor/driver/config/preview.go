package config

import (
	"context"
	"errors"
	"fmt"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff implements driver.Driver: what would change, the preview says by itself. It follows
// from two digests, which the start compares.
func (d *Driver) Diff(context.Context, driver.Plan) (driver.Diff, error) { return driver.Diff{}, nil }

// Preview implements driver.Driver (PD-3.5): every value that would change, and whether the
// document of the way back is there still. A document that the bucket or the repository does not
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
	fits, err := d.place.usable(ctx)
	if err != nil {
		return p, err
	}
	s, err := d.place.load(ctx)
	if err == nil {
		err = s.foreign(d.target)
	}
	if err == nil {
		err = errors.Join(s.forgotten(plan), d.place.remembers(s, plan.Mark))
	}
	if err == nil {
		err = d.place.forgotten(ctx, s, plan)
	}
	if err != nil {
		return p, err
	}
	back, err := d.dryRun(ctx, plan)
	if err != nil {
		return p, err
	}
	p.RollbackReady, p.RollbackReason = back.Possible, back.Reason
	words, text, err := d.changes(ctx, plan, s, fits)
	if err != nil {
		return p, err
	}
	before := s.digest
	if before == "" {
		before = "nothing"
	}
	p.Summary = fmt.Sprintf("%s -> %s, %s", before, plan.Artifact.Digest, words)
	if s.digest == plan.Artifact.Digest {
		p.Summary = fmt.Sprintf("carries %s already", s.digest)
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "target:   %s\n%-9s %s\ncurrent:  %s\nnew:      %s\nversion:  %s\nartifact: %s from %s\nrollback: %s\n\nwhat would change in the document\n%s",
		d.target, d.place.kind()+":", d.place, before, plan.Artifact.Digest, plan.Version, plan.Artifact.Name, plan.Artifact.Location, p.RollbackReason, text)
	p.Detail = detail.String()
	return p, nil
}

// changes says what would change, in a few words and in full.
func (d *Driver) changes(ctx context.Context, plan driver.Plan, s state, fits func(int64) error) (words, text string, err error) {
	if !plan.Artifact.HasContent() {
		return "content not at hand", "the document is not at hand, so that nobody can say\n", nil
	}
	body, err := content(ctx, plan.Artifact, fits)
	if err != nil {
		return "", "", err
	}
	after, err := d.parse(plan.Artifact.Location, body)
	if err != nil {
		return "", "", err
	}
	var before []any
	if s.present {
		// Nearly all JSON is YAML; what neither of both is was written by hand, or before.
		own, _ := formatOf(plan.Artifact.Location) // as parse has it
		for _, f := range []format{own, formatYAML, formatJSON} {
			if before, err = read(f, s.value); err == nil {
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

// DryRunRollback implements driver.Driver: whether the document of the way back is there,
// byte for byte, and will be there still when the release has been placed.
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
	if err := ctx.Err(); err != nil {
		return out, err
	}
	if plan.Previous == "" {
		out.Reason = "nothing was placed before: there is no document to go back to"
		return out, nil
	}
	if _, err := artifact.Hex(plan.Previous); err != nil {
		out.Reason = err.Error()
		return out, nil //nolint:nilerr // It is the answer.
	}
	return d.place.back(ctx, plan)
}
