package terraform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// defaultLook is how long a look may take where the configuration is silent.
const defaultLook = time.Minute

var (
	_ driver.Inspector = (*Driver)(nil)
	_ driver.Patient   = (*Driver)(nil)
)

// Patience implements driver.Patient: the time of a look, and what the program may take to end
// after it.
func (d *Driver) Patience() time.Duration { return d.look + d.grace }

// Inspect implements driver.Inspector. The state is held to what the newest complete change left
// there, and what providers say of the resources to the state. It takes no lock, neither of the
// target nor of the state: a release need not wait for it, and an executor that dies in a look
// leaves none behind. An answer that was given while somebody was at work counts for nothing.
func (d *Driver) Inspect(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.Patience(), fmt.Errorf("not done after %s (look.timeout)", d.look))
	defer cancel()
	lines, err := d.inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at what was changed on target %s: %w", d.target, err)
	}
	return lines, nil
}

func (d *Driver) inspect(ctx context.Context) ([]string, error) {
	before, err := d.store.Load(ctx)
	switch {
	case err != nil:
		return nil, err
	case before.Pending:
		return nil, fmt.Errorf("%s has begun and is not complete: %w", before.Key, driver.ErrUnknown)
	case before.Carries == "":
		return nil, nil
	}
	lines, failed := d.differ(ctx, before.Carries)
	// Whoever is let in writes the record before anything else.
	after, err := d.store.Load(ctx)
	switch {
	case err != nil:
		return nil, err
	case after.Key != before.Key || after.Fence != before.Fence || after.Pending || after.Done != before.Done:
		return nil, fmt.Errorf("%s came meanwhile: %w", after.Key, driver.ErrUnknown)
	}
	return lines, failed
}

// differ asks the program, in a folder of its own with the configuration that was placed.
func (d *Driver) differ(ctx context.Context, carries string) ([]string, error) {
	file, version, err := d.kept(carries)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", carries, err)
	}
	_ = file.Close()
	r, err := d.open(ctx, d.back(carries), carries, version)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.init(ctx); err != nil {
		return nil, err
	}
	is, err := r.pull(ctx)
	if err != nil {
		return nil, err
	}
	var lines []string
	left, unknown := d.leftBehind()
	if unknown != nil && !errors.Is(unknown, driver.ErrUnknown) {
		return nil, unknown
	}
	if unknown == nil {
		moved, err := left.moved(ctx, is, func(place string) bool {
			address := addressIn(place)
			return address != "" && d.leftOut(kindIn(address), address, "")
		})
		if err != nil {
			return nil, err
		}
		lines = append(lines, moved...)
	}
	if !d.config.GetLook().GetStateOnly() {
		drift, err := r.drift(ctx)
		if err != nil {
			return nil, err
		}
		lines = append(lines, d.drifted(drift, left)...)
	}
	if len(lines) == 0 {
		return nil, unknown
	}
	for i, line := range lines {
		lines[i] = printable(line)
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// drift is what is not as the state has it, as the providers say. Nothing is written: neither the
// state nor a resource.
func (r *run) drift(ctx context.Context) ([]*tfjson.ResourceChange, error) {
	p := planned{path: filepath.Join(r.outer, planName)}
	err := r.do(ctx, "ask what the resources are", io.Discard, func(ctx context.Context) error {
		_, err := r.tf.Plan(ctx, tfexec.RefreshOnly(true), tfexec.Lock(false), tfexec.Out(p.path))
		return err
	}, r.config.GetPlanCredentials()...)
	if err == nil {
		err = r.show(ctx, &p)
	}
	if err != nil {
		return nil, err
	}
	return p.plan.ResourceDrift, nil
}

// drifted is a line for each resource, with the names of the attributes, and without values. What
// the newest release found and left so is none.
func (d *Driver) drifted(all []*tfjson.ResourceChange, left left) []string {
	var lines []string
	for _, c := range sorted(all) {
		action := actionOf(c.Change.Actions)
		if action == noop || d.leftOut(c.Type, c.Address, "") {
			continue
		}
		if found, ok := left.Found[place(c)]; ok && found == left.found(c) {
			continue
		}
		if action == destroy {
			lines = append(lines, place(c)+": it is not there as the state has it")
			continue
		}
		names := slices.DeleteFunc(differing(c.Change), func(name string) bool { return d.leftOut(c.Type, c.Address, name) })
		if len(names) > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s is not as the state has it", place(c), strings.Join(names, ", ")))
		}
	}
	return lines
}

// differing are the names of the attributes that are not the same on both sides.
func differing(c *tfjson.Change) []string {
	before, after := object(c.Before), object(c.After)
	names := map[string]bool{}
	for _, side := range []map[string]any{before, after} {
		for name := range side {
			names[name] = text1(before[name]) != text1(after[name])
		}
	}
	maps.DeleteFunc(names, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(names))
}

// exempt is what something else than releases may change.
type exempt struct {
	guard
	// attribute is the one that may be changed; "" for all of it.
	attribute string
}

var ofAttribute = regexp.MustCompile(`^(\S.*) ([A-Za-z_][A-Za-z0-9_-]*)$`)

// exempts reads what is left out of looks. The error names every entry that would leave out
// nothing.
func exempts(entries []string) ([]exempt, error) {
	var all []exempt
	var problems []error
	for i, entry := range entries {
		pattern, attribute := entry, ""
		if parts := ofAttribute.FindStringSubmatch(entry); parts != nil {
			pattern, attribute = parts[1], parts[2]
		}
		g, err := guardOf(pattern)
		if err != nil {
			problems = append(problems, fmt.Errorf("look.leave_out[%d]: %w", i, err))
			continue
		}
		all = append(all, exempt{g, attribute})
	}
	return all, errors.Join(problems...)
}

// leftOut says whether something else may change an attribute of what lies at an address, or,
// where none is named, all of it.
func (d *Driver) leftOut(kind, address, attribute string) bool {
	return slices.ContainsFunc(d.exempt, func(e exempt) bool {
		return (e.attribute == "" || e.attribute == attribute) && e.covers(kind, address)
	})
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, text)
}
