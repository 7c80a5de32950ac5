package terraform

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// planned is a plan: the file, and what it says.
type planned struct {
	path string
	// sum is the SHA-256 of the file.
	sum string
	// digest is that of all that it says, without its time.
	digest string
	state  position
	plan   *tfjson.Plan
}

// position is where a state is in its life.
type position struct {
	Lineage string `json:"lineage"`
	Serial  uint64 `json:"serial"`
}

func (p position) String() string {
	if p.Lineage == "" {
		return "none"
	}
	return fmt.Sprintf("%s, serial %d", p.Lineage, p.Serial)
}

// plan initializes, validates and plans. It changes nothing outside of the run's own folder. The
// state's lock is taken for as long as it plans, and a state that moves on from then on makes
// the plan stale, which Terraform notices when it is to be applied.
func (r *run) plan(ctx context.Context) (planned, error) {
	p := planned{path: filepath.Join(r.outer, planName)}
	if err := r.init(ctx); err != nil {
		return p, err
	}
	if err := r.validate(ctx); err != nil {
		return p, err
	}
	err := r.do(ctx, "plan", io.Discard, func(ctx context.Context) error {
		_, err := r.tf.Plan(ctx, tfexec.Out(p.path), tfexec.LockTimeout(r.wait.String()))
		return err
	}, r.config.GetPlanCredentials()...)
	if err != nil {
		return p, err
	}
	return p, r.show(ctx, &p)
}

// validate says what is wrong with a configuration before anybody looks at the state. A plan does
// the same, so that what is about to be applied is not validated again.
func (r *run) validate(ctx context.Context) error {
	if r.locked {
		return nil
	}
	return r.do(ctx, "validate", io.Discard, func(ctx context.Context) error {
		v, err := r.tf.Validate(ctx)
		if err == nil && !v.Valid {
			return complaints(v.Diagnostics)
		}
		return err
	})
}

// complaints is what a configuration is refused for, without the values that are quoted.
func complaints(all []tfjson.Diagnostic) error {
	var text strings.Builder
	for _, d := range all {
		if d.Severity == tfjson.DiagnosticSeverityError {
			fmt.Fprintf(&text, "Error: %s\n", d.Summary)
		}
	}
	return errors.New(text.String())
}

// init installs providers and local modules. Neither comes from anywhere but the provider folder
// and the artifact, in the versions that the artifact locks.
func (r *run) init(ctx context.Context) error {
	locks := filepath.Join(r.inner, ".terraform.lock.hcl")
	before, err := os.ReadFile(locks)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("init: %w", err)
	}
	// Modules by themselves and first: nothing was approved yet, and OpenTofu lets an artifact
	// compute where it asks for one, from whatever it can read.
	r.shut = true
	err = r.do(ctx, "init", io.Discard, func(ctx context.Context) error { return r.tf.Get(ctx) })
	r.shut = false
	if err == nil {
		err = r.modules()
	}
	if err != nil {
		return err
	}
	err = r.do(ctx, "init", io.Discard, func(ctx context.Context) error {
		return r.tf.Init(ctx, tfexec.Upgrade(false))
	}, r.config.GetPlanCredentials()...)
	if err != nil {
		return err
	}
	after, err := os.ReadFile(locks)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("init: %w", err)
	}
	if was, is := locked(before), locked(after); was != is {
		return fmt.Errorf("init: the artifact's .terraform.lock.hcl locks %q, and the configuration asks for %q: %w", was, is, driver.ErrInvalid)
	}
	return r.modules()
}

// locked is which providers a lock file names, in which versions.
func locked(file []byte) string {
	var all []string
	for line := range strings.Lines(string(file)) {
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "provider":
			all = append(all, strings.Trim(strings.TrimRight(rest, "{ "), `" `))
		case "version":
			_, value, _ := strings.Cut(rest, "=")
			all = append(all, strings.Trim(value, `" `))
		}
	}
	return strings.Join(all, " ")
}

// modules refuses modules that are not in the artifact.
func (r *run) modules() error {
	data, err := os.ReadFile(filepath.Join(r.data(), "modules", "modules.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	var all struct {
		Modules []struct{ Key, Dir string }
	}
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		return fmt.Errorf("init: read modules: %w", err)
	}
	for _, m := range all.Modules {
		if !filepath.IsLocal(m.Dir) {
			return fmt.Errorf("init: module %s does not lie in the artifact: %w", m.Key, driver.ErrInvalid)
		}
	}
	return nil
}

// positionIn reads where the state was in its life that a plan was made on, from the file that
// Terraform itself holds against the state when it applies it.
func positionIn(path string) (p position, err error) {
	file, err := zip.OpenReader(path)
	if err != nil {
		return p, err
	}
	defer func() { _ = file.Close() }()
	member, err := file.Open("tfstate")
	if err != nil {
		return p, err
	}
	defer func() { _ = member.Close() }()
	if err := json.NewDecoder(io.LimitReader(member, maxPlan)).Decode(&p); err != nil {
		return p, errors.New("its state is no JSON") // The error would quote it.
	}
	return p, nil
}

// bounded is a buffer that refuses more than a plan may have.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxPlan {
		return 0, fmt.Errorf("more than %d bytes", maxPlan)
	}
	return b.Buffer.Write(p)
}

// show reads what the plan says, and computes its digests.
func (r *run) show(ctx context.Context, p *planned) (err error) {
	if p.sum, err = fileSum(p.path); err == nil {
		p.state, err = positionIn(p.path)
	}
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var text bounded
	err = r.do(ctx, "show the plan", &text, func(ctx context.Context) (err error) {
		p.plan, err = r.tf.ShowPlanFile(ctx, p.path)
		return err
	}, r.config.GetPlanCredentials()...)
	if err != nil {
		return err
	}
	if p.digest, err = canonical(text.Bytes()); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	var whole struct {
		Errored  bool  `json:"errored"`
		Complete *bool `json:"complete"`
	}
	if err := json.Unmarshal(text.Bytes(), &whole); err != nil || whole.Errored || whole.Complete != nil && !*whole.Complete {
		return fmt.Errorf("the plan is not complete: %w", driver.ErrInvalid)
	}
	return nil
}

// canonical is the digest of all that a plan says, whatever field it stands in, but its time and
// the order of what has none.
func canonical(text []byte) (string, error) {
	var all map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&all); err != nil {
		return "", errors.New("it is no JSON") // The error would quote it.
	}
	delete(all, "timestamp")
	for name, value := range all {
		list, ok := value.([]any)
		if !ok {
			continue
		}
		slices.SortFunc(list, func(a, b any) int { return cmp.Compare(text1(a), text1(b)) })
		all[name] = list
	}
	return digestOf(all), nil
}

func text1(value any) string {
	data, _ := json.Marshal(value) //nolint:errchkjson // It was JSON.
	return string(data)
}

func digestOf(value any) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text1(value))))
}

func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	return sumOf(file)
}

func sumOf(content io.Reader) (string, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, content)
	return fmt.Sprintf("sha256:%x", sum.Sum(nil)), err
}

// text is the plan for people: addresses, actions and names of attributes, and no value.
func (p planned) text(d *Driver) string {
	var out strings.Builder
	fmt.Fprintf(&out, "version: %s\nstate:   %s\n", d.tool.version, p.state)
	counts := map[string]int{}
	var runs []string
	for _, c := range sorted(p.plan.ResourceDrift) {
		fmt.Fprintf(&out, "found changed: %s%s\n", c.Address, attributes(c.Change))
	}
	for _, c := range sorted(p.plan.ResourceChanges) {
		action := actionOf(c.Change.Actions)
		if c.DeposedKey != "" {
			action += " deposed"
		}
		counts[actionOf(c.Change.Actions)]++
		if c.Change.Importing != nil {
			fmt.Fprintf(&out, "import: %s\n", c.Address)
		}
		if action == noop {
			continue
		}
		fmt.Fprintf(&out, "%s: %s%s\n", action, c.Address, attributes(c.Change))
		if action == create && d.guarded(c) {
			fmt.Fprintf(&out, "no way back: %s is protected, so that nobody takes it away again\n", c.Address)
		}
	}
	for _, c := range sorted(p.plan.ResourceChanges) {
		if c.PreviousAddress != "" {
			fmt.Fprintf(&out, "move: %s -> %s\n", c.PreviousAddress, c.Address)
		}
	}
	for _, a := range p.plan.ActionInvocations {
		if a != nil {
			runs = append(runs, a.Address)
		}
	}
	for _, address := range slices.Sorted(slices.Values(runs)) {
		fmt.Fprintf(&out, "run: %s\n", address)
	}
	for _, name := range slices.Sorted(maps.Keys(p.plan.OutputChanges)) {
		if action := actionOf(p.plan.OutputChanges[name].Actions); action != noop {
			fmt.Fprintf(&out, "%s: output %s\n", action, name)
		}
	}
	fmt.Fprintf(&out, "%d to create, %d to update, %d to replace, %d to destroy, %d to forget; plan %s\n",
		counts[create], counts[update], counts[replace], counts[destroy], counts[forget], p.digest)
	return out.String()
}

// changes says whether anything would be different after it.
func (p planned) changes() bool {
	for _, c := range p.plan.ResourceChanges {
		if actionOf(c.Change.Actions) != noop || c.PreviousAddress != "" || c.Change.Importing != nil {
			return true
		}
	}
	for _, c := range p.plan.OutputChanges {
		if actionOf(c.Actions) != noop {
			return true
		}
	}
	return false
}

func sorted(changes []*tfjson.ResourceChange) []*tfjson.ResourceChange {
	all := slices.DeleteFunc(slices.Clone(changes), func(c *tfjson.ResourceChange) bool { return c == nil || c.Change == nil })
	slices.SortStableFunc(all, func(a, b *tfjson.ResourceChange) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.DeposedKey, b.DeposedKey))
	})
	return all
}
