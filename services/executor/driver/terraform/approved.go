package terraform

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// errBeyond says that what is left of a change that was begun is not a part of it.
var errBeyond = errors.New("not a part of what was approved")

// keepApproved is how many changes that were begun are remembered.
const keepApproved = 64

// leave is what a change that is begun may do, for whoever goes on with it.
type leave struct {
	Effect string `json:"effect"`
	Digest string `json:"digest"`
	// Text is the digest of the text that was approved; Plan that of the plan.
	Text  string   `json:"text"`
	Plan  string   `json:"plan"`
	State position `json:"state"`
	// Resources are by address, and Outputs by name.
	Resources map[string]allowed `json:"resources"`
	Outputs   []string           `json:"outputs"`
}

// allowed is what may be done with one resource.
type allowed struct {
	Action string `json:"action"`
	// After are digests of the attributes that it has then; "" of those that nobody knew.
	After map[string]string `json:"after"`
}

func leaveOf(effect, digest, text string, p planned) leave {
	l := leave{Effect: effect, Digest: digest, Text: text, Plan: p.digest, State: p.state, Resources: map[string]allowed{}}
	for _, c := range sorted(p.plan.ResourceChanges) {
		if action := actionOf(c.Change.Actions); action != noop {
			l.Resources[place(c)] = allowed{Action: action, After: after(c.Change)}
		}
	}
	for name, c := range p.plan.OutputChanges {
		if actionOf(c.Actions) != noop {
			l.Outputs = append(l.Outputs, name)
		}
	}
	slices.Sort(l.Outputs)
	return l
}

// place tells apart what lies at one address: the resource, and what is left of former ones.
func place(c *tfjson.ResourceChange) string {
	if c.DeposedKey == "" {
		return c.Address
	}
	return c.Address + " deposed " + c.DeposedKey
}

func after(c *tfjson.Change) map[string]string {
	values, unknown := object(c.After), object(c.AfterUnknown)
	out := map[string]string{}
	for name, value := range values {
		out[name] = digestOf(value)
	}
	for name := range unknown {
		if any1(unknown[name]) {
			out[name] = ""
		}
	}
	return out
}

// within refuses a plan that does what was not approved. What was done since it was begun is
// not in it any more, and what was not known then may be known by now.
func (l leave) within(d *Driver, p planned) error {
	for _, c := range sorted(p.plan.ResourceChanges) {
		action := actionOf(c.Change.Actions)
		if action == noop || action == read {
			continue
		}
		was, ok := l.Resources[place(c)]
		if !ok && c.DeposedKey != "" {
			// What a replacement had not yet taken away when it died.
			was, ok = l.Resources[c.Address]
			ok = ok && was.Action == replace && action == destroy
			was.After = nil
		}
		if !ok || !follows(was.Action, action, c, d.guarded(c)) {
			return fmt.Errorf("%s %s: %w: %w", action, c.Address, errBeyond, driver.ErrConflict)
		}
		for name, now := range after(c.Change) {
			before, known := was.After[name]
			if action != destroy && (!known || before != "" && before != now) {
				return fmt.Errorf("%s %s: attribute %s: %w: %w", action, c.Address, name, errBeyond, driver.ErrConflict)
			}
		}
	}
	for name, c := range p.plan.OutputChanges {
		if actionOf(c.Actions) != noop && !slices.Contains(l.Outputs, name) {
			return fmt.Errorf("output %s: %w: %w", name, errBeyond, driver.ErrConflict)
		}
	}
	return nil
}

// follows says whether an action is what can be left of another one.
func follows(was, now string, c *tfjson.ResourceChange, protected bool) bool {
	tainted := c.ActionReason == tfjson.ActionReasonReplaceBecauseTainted
	switch {
	case was == now:
		return true
	case was == create && now == replace:
		// It was made, and not to its end.
		return tainted && !protected
	case was == replace:
		return now == create || now == destroy && c.DeposedKey != ""
	}
	return false
}

func (d *Driver) approvedFolder() string { return filepath.Join(d.folder, "approved") }

func (d *Driver) leavePath(effect string) string {
	return filepath.Join(d.approvedFolder(), fmt.Sprintf("%x.json", sha256.Sum256([]byte(effect))))
}

// begun reads what a change may do that was begun under an earlier attempt; false where none was.
func (d *Driver) begun(effect string) (leave, bool, error) {
	var l leave
	data, err := os.ReadFile(d.leavePath(effect))
	if errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err != nil {
		return l, false, fmt.Errorf("read what was approved: %w", err)
	}
	return l, true, nil
}

// keep makes what a change may do outlive this process. The caller holds the lock.
func (d *Driver) keep(l leave) error {
	if err := os.MkdirAll(d.approvedFolder(), 0o700); err != nil {
		return fmt.Errorf("keep what was approved: %w", err)
	}
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("keep what was approved: %w", err)
	}
	if err := fence.WriteFile(d.leavePath(l.Effect), data, 0o600); err != nil {
		return fmt.Errorf("keep what was approved: %w", err)
	}
	d.forgetOld(d.approvedFolder(), keepApproved)
	return nil
}

// forgetOld removes the oldest files of a folder beyond those that are kept. What stays costs
// space and nothing else, so nothing fails by it.
func (d *Driver) forgetOld(folder string, keep int, needed ...string) {
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) <= keep {
		return
	}
	age := map[string]int64{}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			age[e.Name()] = info.ModTime().UnixNano()
		}
	}
	names := slices.SortedFunc(maps.Keys(age), func(a, b string) int { return int(min(1, max(-1, age[a]-age[b]))) })
	for _, name := range names[:max(0, len(names)-keep)] {
		if !slices.Contains(needed, name) {
			_ = os.Remove(filepath.Join(folder, name))
		}
	}
}
