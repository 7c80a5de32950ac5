package terraform

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
	"github.com/blackdice/shipwarden/services/executor/driver/ledger"
	"github.com/blackdice/shipwarden/services/executor/driver/veil"
)

const (
	leftName = "left.json"
	// stateFormat is the one of states that is known.
	stateFormat = 4
	// veiled is how many digests are made with all the memory that one may have; where there are
	// more, each has less, so that they take some seconds together.
	veiled    = 128
	minMemory = 1 << 10
)

// left is what the newest complete change left in the state, so that what somebody else writes
// there is seen. Of what lies at an address it has a digest that costs whoever guesses as much as
// it did (package veil): a plain one would say what a short secret is.
type left struct {
	// Effect and Time are those of the newest effect in the ledger when it was read. Whoever has
	// placed something since, and kept nothing, has made it old.
	Effect string    `json:"effect"`
	Time   time.Time `json:"time"`
	// Unread says why it is not known; "" where it is.
	Unread string   `json:"unread,omitempty"`
	State  position `json:"state"`
	Salt   []byte   `json:"salt"`
	// Memory is what each digest takes, in KiB.
	Memory uint32 `json:"memory"`
	// All is the digest of everything together, which is the only one that is looked at while
	// nobody writes the state.
	All    string            `json:"all"`
	Places map[string]string `json:"places"`
	// Found are resources that the plan of the change found otherwise than the state has them, and
	// left so, as it had nothing to do: people have seen it and approved, and it is there still.
	Found map[string]string `json:"found,omitempty"`
}

// holds is what a state holds: where it is in its life, and by the address of each resource, and
// the name of each output, what lies there.
type holds struct {
	state  position
	places map[string]string
}

// written is a state as the program writes it down.
type writtenState struct {
	Version int `json:"version"`
	position
	Outputs   map[string]json.RawMessage `json:"outputs"`
	Resources []struct {
		Module    string     `json:"module"`
		Mode      string     `json:"mode"`
		Type      string     `json:"type"`
		Name      string     `json:"name"`
		Instances []instance `json:"instances"`
	} `json:"resources"`
}

// instance is one resource.
type instance struct {
	Key        any             `json:"index_key"`
	Status     string          `json:"status"`
	Deposed    string          `json:"deposed"`
	Attributes json.RawMessage `json:"attributes"`
	Flat       json.RawMessage `json:"attributes_flat"`
}

// holdsOf reads a state. What data sources have read is no part of what was made, and what the
// program notes for itself neither. No error quotes anything of it.
func holdsOf(text []byte) (holds, error) {
	h := holds{places: map[string]string{}}
	if len(bytes.TrimSpace(text)) == 0 {
		return h, nil // Nothing was ever written.
	}
	var s writtenState
	if err := json.Unmarshal(text, &s); err != nil {
		return h, errors.New("the state is no JSON of the kind that is known")
	}
	if s.Version != stateFormat {
		return h, fmt.Errorf("the state has format %d, and %d is known", s.Version, stateFormat)
	}
	h.state = s.position
	for name, value := range s.Outputs {
		content, err := plain(value)
		if err != nil {
			return h, err
		}
		h.places["output "+name] = content
	}
	for _, r := range s.Resources {
		if r.Mode != "managed" {
			continue
		}
		for _, i := range r.Instances {
			at, err := plain(i.Attributes)
			if err != nil {
				return h, err
			}
			flat, err := plain(i.Flat)
			if err != nil {
				return h, err
			}
			address := r.Type + "." + r.Name + keyed(i.Key)
			if r.Module != "" {
				address = r.Module + "." + address
			}
			if i.Deposed != "" {
				address += " deposed " + i.Deposed
			}
			h.places[address] = text1([]string{i.Status, at, flat})
		}
	}
	return h, nil
}

// plain is JSON in one form, whatever order and spaces it was written with.
func plain(text json.RawMessage) (string, error) {
	if len(text) == 0 {
		return "", nil
	}
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", errors.New("the state is no JSON of the kind that is known")
	}
	return text1(value), nil
}

// keyed is the key of an instance as addresses have it.
func keyed(key any) string {
	switch k := key.(type) {
	case string:
		return "[" + strconv.Quote(k) + "]"
	case float64:
		return "[" + strconv.FormatFloat(k, 'f', -1, 64) + "]"
	}
	return ""
}

// pull reads the state, and changes nothing: it takes no lock.
func (r *run) pull(ctx context.Context) (holds, error) {
	var text bounded
	err := r.do(ctx, "read the state", &text, func(ctx context.Context) error {
		_, err := r.tf.StatePull(ctx)
		return err
	}, r.config.GetPlanCredentials()...)
	if err != nil {
		return holds{}, err
	}
	h, err := holdsOf(text.Bytes())
	if err != nil {
		return h, fmt.Errorf("read the state: %w", err)
	}
	return h, nil
}

// leave keeps what a change that is complete has left in the state. The caller holds the lock.
// Where it cannot be read the change is complete all the same, and until the next one nobody can
// tell whether somebody else writes the state: why is returned, for people. Seen says that people
// have approved the very plan.
func (r *run) leave(ctx context.Context, p planned, seen bool) (unread string, err error) {
	last, err := ledger.LastEffect(r.Ledger(), "")
	if err != nil {
		return "", err
	}
	l := left{Effect: last.Effect, Time: last.Time, Salt: make([]byte, 16)}
	if _, err := rand.Read(l.Salt); err != nil {
		return "", fmt.Errorf("keep what was left: %w", err)
	}
	h, err := r.pull(ctx)
	if err == nil {
		err = l.take(ctx, h)
	}
	if err == nil && seen && !p.changes() {
		l.Found = map[string]string{}
		for _, c := range sorted(p.plan.ResourceDrift) {
			l.Found[place(c)] = l.found(c)
		}
	}
	if err != nil {
		l.Unread, l.Places, l.All, l.Found = err.Error(), nil, "", nil
	}
	data, err := json.Marshal(l)
	if err == nil {
		err = fence.WriteFile(filepath.Join(r.folder, leftName), append(data, '\n'), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("keep what was left: %w", err)
	}
	return l.Unread, nil
}

// take makes the digests of what a state holds.
func (l *left) take(ctx context.Context, h holds) error {
	l.State, l.Places = h.state, map[string]string{}
	l.Memory = memoryFor(len(h.places))
	l.All = l.sum(everything(h)...)
	for place, content := range h.places {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.Places[place] = l.sum(place, content)
	}
	return nil
}

// memoryFor is what each digest takes of so many, in KiB.
func memoryFor(places int) uint32 {
	return uint32(max(minMemory, min(veil.Memory, veil.Memory*veiled/max(1, places))))
}

func everything(h holds) []string {
	var all []string
	for _, place := range slices.Sorted(maps.Keys(h.places)) {
		all = append(all, place, h.places[place])
	}
	return all
}

func (l *left) sum(parts ...string) string {
	hidden := sha256.New()
	for _, part := range parts {
		veil.Prefixed(hidden, part)
	}
	return veil.Sum(hidden.Sum(nil), l.Salt, l.Memory)
}

// found is the digest of what a resource is said to be otherwise than the state has it.
func (l *left) found(c *tfjson.ResourceChange) string {
	return l.sum("found", place(c), text1(c.Change.Before), text1(c.Change.After))
}

// leftBehind reads what the newest complete change left. The error wraps driver.ErrUnknown where
// nobody has kept it.
func (d *Driver) leftBehind() (left, error) {
	var l left
	data, err := os.ReadFile(filepath.Join(d.folder, leftName))
	if errors.Is(err, fs.ErrNotExist) {
		return left{}, fmt.Errorf("what the newest release left in the state was not kept: %w", driver.ErrUnknown)
	}
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err == nil && (l.Memory > veil.Memory || l.Unread == "" && (l.Memory < minMemory || l.All == "")) {
		err = errors.New("it is not what an executor has written")
	}
	if err != nil {
		return left{}, fmt.Errorf("read what was left in the state, %s: %w", leftName, err)
	}
	last, err := ledger.LastEffect(d.Ledger(), "")
	switch {
	case err != nil:
		return left{}, err
	case last.Effect != l.Effect || !last.Time.Equal(l.Time):
		return left{}, fmt.Errorf("what the newest release left in the state was not kept: %w", driver.ErrUnknown)
	case l.Unread != "":
		return left{}, fmt.Errorf("what the newest release left in the state could not be read then: %s: %w", l.Unread, driver.ErrUnknown)
	}
	return l, nil
}

// moved says in lines what is in the state that the newest complete change did not leave there.
func (l *left) moved(ctx context.Context, h holds, leftOut func(place string) bool) ([]string, error) {
	if h.state == l.State && l.sum(everything(h)...) == l.All {
		return nil, nil
	}
	found := map[string]string{}
	for place, content := range h.places {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		switch was, there := l.Places[place]; {
		case !there:
			found[place] = "no release has put it into the state"
		case was != l.sum(place, content):
			found[place] = "the state does not have it as it was left"
		}
	}
	for place := range l.Places {
		if _, there := h.places[place]; !there {
			found[place] = "it is not in the state any more"
		}
	}
	all := len(found)
	maps.DeleteFunc(found, func(place, _ string) bool { return leftOut(place) })
	var lines []string
	switch {
	case h.state.Lineage != l.State.Lineage:
		lines = append(lines, fmt.Sprintf("state: it is another one: %s, and %s was left", h.state, l.State))
	case h.state != l.State && (len(found) > 0 || all == 0):
		lines = append(lines, fmt.Sprintf("state: somebody else has written it: serial %d, and %d was left", h.state.Serial, l.State.Serial))
	}
	for place, what := range found {
		lines = append(lines, place+": "+what)
	}
	return lines, nil
}

// addressIn is the address at which a place lies; "" for an output.
func addressIn(place string) string {
	if strings.HasPrefix(place, "output ") {
		return ""
	}
	address, _, _ := strings.Cut(place, " deposed ")
	return address
}
