//go:build terraform

package terraform_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/terraform"
)

// providersEnv names a mirror with the provider of tools/localprovider in it; without it the
// script is asked, which builds it where it is not there.
const providersEnv = "SHIPWARDEN_TERRAFORM_PROVIDERS"

var mirror = sync.OnceValues(func() (string, error) {
	if folder := os.Getenv(providersEnv); folder != "" {
		return folder, nil
	}
	path, err := exec.Command("../../../../tools/localprovider.sh").Output()
	return strings.TrimSpace(string(path)), err
})

// filed is the configuration of a target with a provider that makes files.
func filed(t *testing.T, folder string) *configv1.TerraformDriver {
	t.Helper()
	providers, err := mirror()
	if err != nil {
		t.Fatal("tools/localprovider.sh:", err)
	}
	c := config(folder)
	c.ProviderFolder, c.Variables = providers, nil
	return c
}

// files is a release of files of those names, in a folder. What is in them is a secret.
func files(t *testing.T, folder string, version int, more string, names ...string) driver.Plan {
	t.Helper()
	return planOf(version, filesOf(t, folder, version, more, names...))
}

func filesOf(t *testing.T, folder string, version int, more string, names ...string) map[string]string {
	t.Helper()
	providers, err := mirror()
	if err != nil {
		t.Fatal(err)
	}
	const provider = "shipwarden.test/hashicorp/local"
	there, err := os.ReadDir(filepath.Join(providers, provider))
	if err != nil || len(there) != 1 {
		t.Fatalf("%d versions of the provider: %v", len(there), err)
	}
	text := more + "terraform {\n  required_providers {\n    local = { source = \"shipwarden.test/hashicorp/local\" }\n  }\n}\n"
	for _, name := range names {
		text += fmt.Sprintf("resource \"local_file\" %q {\n  filename = %q\n  sensitive_content = \"pin-4711 of %s\"\n}\n", name, filepath.Join(folder, "made", name), name)
	}
	return map[string]string{
		"main.tf": fmt.Sprintf("# version %d\n%s", version, text), ".terraform.lock.hcl": fmt.Sprintf("provider %q {\n  version = %q\n}\n", provider, there[0].Name()),
	}
}

// inspects asks for what was changed, and expects lines that begin so.
func inspects(t *testing.T, d driver.Inspector, when string, want ...string) {
	t.Helper()
	got, err := d.Inspect(t.Context())
	ok := err == nil && len(got) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok || strings.Contains(strings.Join(got, ""), "pin-4711") {
		t.Errorf("%s: %v\n%s\nwant\n%s", when, err, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAResourceThatIsChangedByHandIsSeen with a provider that nobody here has written (N-08): what
// is not there any more, and what is there otherwise, which this provider says the same of. The
// state knows nothing of it, and nothing is written.
func TestAResourceThatIsChangedByHandIsSeen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := filed(t, folder)
	d := open(t, c, options(nil))
	inspects(t, d, "before anything was placed")
	must(t, d, 1, files(t, folder, 1, "", "limits", "prices"))
	before := everything(t, filepath.Join(folder, "shop"))
	inspects(t, d, "as it was placed")
	if err := os.WriteFile(filepath.Join(folder, "made", "limits"), []byte("by hand"), 0o600); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "one is another", "local_file.limits: it is not there as the state has it")
	if err := os.Remove(filepath.Join(folder, "made", "prices")); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "one is gone as well",
		"local_file.limits: it is not there as the state has it", "local_file.prices: it is not there as the state has it")
	if after := everything(t, filepath.Join(folder, "shop")); after != before {
		t.Errorf("a look changed\n%s\ninto\n%s", before, after)
	}
	c.Look = &configv1.TerraformLook{LeaveOut: []string{"local_file.lim*"}}
	inspects(t, open(t, c, options(nil)), "one of them may be", "local_file.prices: it is not there as the state has it")
	c.Look = &configv1.TerraformLook{StateOnly: true}
	inspects(t, open(t, c, options(nil)), "no provider is asked")
	// Released again it is what it was.
	must(t, d, 2, files(t, folder, 2, "", "limits", "prices"))
	inspects(t, d, "released again")
}

// TestWhatAReleaseFoundAndLeftSoIsNoChangeByHand: its plan had nothing to do, people have seen what
// was found changed, and the state still has what was there before. Another change is another one.
func TestWhatAReleaseFoundAndLeftSoIsNoChangeByHand(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	d := open(t, filed(t, folder), options(nil))
	flag := filepath.Join(folder, "flag")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wanted := func(version int) driver.Plan {
		all := filesOf(t, folder, version, "", "limits", "prices")
		const limits = "resource \"local_file\" \"limits\" {\n"
		all["main.tf"] = strings.Replace(all["main.tf"], limits, limits+fmt.Sprintf("  count = fileexists(%q) ? 1 : 0\n", flag), 1)
		return planOf(version, all)
	}
	must(t, d, 1, wanted(1))
	inspects(t, d, "as it was placed")
	if err := errors.Join(os.Remove(flag), os.Remove(filepath.Join(folder, "made", "limits"))); err != nil {
		t.Fatal(err)
	}
	const gone = "local_file.limits[0]: it is not there as the state has it"
	inspects(t, d, "it is gone", gone)
	second := wanted(2)
	if text := diff(t, d, second).Text; !strings.Contains(text, "found changed: local_file.limits[0]") || !strings.Contains(text, "0 to create, 0 to update, 0 to replace, 0 to destroy") {
		t.Fatalf("approvers are shown\n%s", text)
	}
	must(t, d, 2, second)
	inspects(t, d, "after a release of which nobody was shown what it found", gone)
	third := wanted(3)
	third.Approved = diff(t, d, third).Digest()
	must(t, d, 3, third)
	inspects(t, d, "after a release that found it")
	if err := os.Remove(filepath.Join(folder, "made", "prices")); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "another one is gone", "local_file.prices: it is not there as the state has it")
	must(t, d, 4, wanted(4))
	inspects(t, d, "after a release that made it again")
}

// TestAStateThatIsMovedByHandIsSeen whatever it was moved with (N-08), and also where its serial
// says nothing of it: by the program with another configuration, by taking a resource out of it,
// and in the file. What runs is as the state has it each time.
func TestAStateThatIsMovedByHandIsSeen(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := config(folder)
	c.Variables = nil
	d := open(t, c, options(nil))
	first := plan(1, two("a", true)+"output \"one\" { value = terraform_data.one.output }\n")
	must(t, d, 1, first)
	inspects(t, d, "as it was placed")
	placed := stateOf(t, folder)

	if err := byHand(t, folder, two("pin-4711", false)+"resource \"terraform_data\" \"three\" {}\n", "apply", "-auto-approve"); err != nil {
		t.Fatal(err)
	}
	lost := []string{
		"output one: it is not in the state any more", fmt.Sprintf("state: somebody else has written it: serial %d, and %d was left", stateOf(t, folder).Serial, placed.Serial),
		"terraform_data.one: the state does not have it as it was left",
		"terraform_data.three: no release has put it into the state", "terraform_data.two: it is not in the state any more",
	}
	inspects(t, d, "another configuration", lost...)
	c.Look = &configv1.TerraformLook{LeaveOut: []string{"terraform_data.t*"}}
	inspects(t, open(t, c, options(nil)), "what others may change", lost[0], lost[1], lost[2])
	c.Look = nil

	second := plan(2, two("b", false))
	must(t, d, 2, second)
	inspects(t, d, "released again")
	if err := byHand(t, folder, two("b", false), "state", "rm", "terraform_data.one"); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "taken out of the state", "state: somebody else has written it", "terraform_data.one: it is not in the state any more")

	must(t, d, 3, plan(3, two("c", false)))
	text, err := os.ReadFile(statePath(folder))
	if err == nil {
		err = os.WriteFile(statePath(folder), []byte(strings.ReplaceAll(string(text), `"c"`, `"d"`)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "in the file", "terraform_data.one: the state does not have it as it was left")
	if err := os.Remove(statePath(folder)); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "none at all", "state: it is another one: none, and", "terraform_data.one: it is not in the state any more")
}

// TestALookIsInNobodysWay: a release that comes in the middle of one is not kept waiting, and the
// look counts for nothing; a lock of the state that somebody holds stays his; and whoever looks has
// the credentials of a plan and no others.
func TestALookIsInNobodysWay(t *testing.T) {
	t.Parallel()
	s := &store{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	folder := t.TempDir()
	c := config(folder)
	c.Backend = &configv1.TerraformBackend{Type: "http", Settings: map[string]string{
		"address": server.URL, "lock_address": server.URL, "unlock_address": server.URL,
	}}
	c.Variables = nil
	d := open(t, c, options(nil))
	must(t, d, 1, plan(1, two("a", false)))

	s.mu.Lock()
	s.lock = []byte(`{"ID":"somebody","Who":"else"}`)
	s.mu.Unlock()
	inspects(t, d, "while somebody has the lock of the state")
	s.mu.Lock()
	if s.lock == nil || s.forced > 0 {
		t.Error("the lock was broken")
	}
	s.lock = nil
	s.mu.Unlock()

	// The program that looks waits in its plan until a release is over.
	looking, over := filepath.Join(folder, "looking"), filepath.Join(folder, "over")
	for _, pipe := range []string{looking, over} {
		if out, err := exec.CommandContext(t.Context(), "mkfifo", pipe).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	slow := config(folder)
	slow.Backend, slow.Variables = c.GetBackend(), nil
	slow.Binary = wrapped(t, folder)
	text, err := os.ReadFile(slow.GetBinary())
	if err == nil {
		held := strings.Replace(string(text), "exec ", fmt.Sprintf("[ $1 != plan ] || { echo > %s; read x < %s; }\nexec ", looking, over), 1)
		err = os.WriteFile(slow.GetBinary(), []byte(held), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		lines, err := open(t, slow, options(nil)).Inspect(context.WithoutCancel(t.Context()))
		if len(lines) > 0 {
			err = fmt.Errorf("%q: %w", lines, err)
		}
		answer <- err
	}()
	if _, err := os.ReadFile(looking); err != nil {
		t.Fatal(err)
	}
	must(t, d, 2, plan(2, two("b", true)))
	if err := os.WriteFile(over, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("a look in which a release came: %v", err)
	}
	inspects(t, d, "after it")
}

// TestWhatALookCannotTellIsUnknown: while a change is pending, and where what was left was never
// kept or read. A look that takes too long has failed.
func TestWhatALookCannotTellIsUnknown(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := filed(t, folder)
	d := open(t, c, options(nil))
	const bad = "resource \"terraform_data\" \"bad\" {\n  provisioner \"local-exec\" { command = \"exit 3\" }\n}\n"
	if _, err := release(t, d, 1, files(t, folder, 1, bad, "limits")); err == nil || !strings.Contains(err.Error(), "local-exec provisioner error") {
		t.Fatalf("it is not half applied: %v", err)
	}
	if got, err := d.Inspect(t.Context()); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("pending: %q, %v", got, err)
	}
	must(t, d, 2, files(t, folder, 2, "", "limits"))
	inspects(t, d, "complete")
	kept := filepath.Join(folder, "shop", "left.json")
	data, err := os.ReadFile(kept)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(kept); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	for what, change := range map[string]func(map[string]any){
		"it is of an earlier change": func(l map[string]any) { l["effect"] = "shop-0/0" },
		"it could not be read":       func(l map[string]any) { l["unread"] = "no answer" },
	} {
		var l map[string]any
		err := json.Unmarshal(data, &l)
		if err == nil {
			change(l)
			text, _ := json.Marshal(l) //nolint:errchkjson // It was JSON.
			err = os.WriteFile(kept, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.Inspect(t.Context()); !errors.Is(err, driver.ErrUnknown) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Inspect(t.Context()); !errors.Is(err, driver.ErrUnknown) {
		t.Errorf("it was not kept: %q, %v", got, err)
	}
	// What the providers say is seen all the same.
	if err := os.Remove(filepath.Join(folder, "made", "limits")); err != nil {
		t.Fatal(err)
	}
	inspects(t, d, "it was not kept, and a file is gone", "local_file.limits: it is not there as the state has it")
	if err := os.WriteFile(kept, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Inspect(t.Context()); err == nil || errors.Is(err, driver.ErrUnknown) {
		t.Errorf("it is something else: %q, %v", got, err)
	}

	c.Look = &configv1.TerraformLook{Timeout: durationpb.New(time.Millisecond)}
	c.Grace = durationpb.New(time.Second)
	if got, err := open(t, c, options(nil)).Inspect(t.Context()); err == nil || errors.Is(err, driver.ErrUnknown) {
		t.Errorf("without time: %q, %v", got, err)
	}
	if got := open(t, c, options(nil)).Patience(); got != time.Millisecond+time.Second {
		t.Errorf("a look may take %s", got)
	}
}

// TestAStateThatIsNotToldAfterItWasAppliedIsNoFailure: the release has its effect and says what will
// not be seen, until the next one.
func TestAStateThatIsNotToldAfterItWasAppliedIsNoFailure(t *testing.T) {
	t.Parallel()
	s := &store{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	folder := t.TempDir()
	c := config(folder)
	c.Variables = nil
	c.Backend = &configv1.TerraformBackend{Type: "http", Settings: map[string]string{
		"address": server.URL, "lock_address": server.URL, "unlock_address": server.URL, "retry_max": "0",
	}}
	silent := func(is bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.silent = is
	}
	d := open(t, c, options(func(point string) { silent(point == terraform.PointCounted) }))
	result := must(t, d, 1, plan(1, two("a", false)))
	if !strings.Contains(result.Message, "what is changed in the state by hand until the next release is not seen: read the state: ") {
		t.Errorf("it says %q", result.Message)
	}
	if got, err := d.Inspect(t.Context()); !errors.Is(err, driver.ErrUnknown) || !strings.Contains(err.Error(), "could not be read then") {
		t.Errorf("a look: %q, %v", got, err)
	}
	must(t, open(t, c, options(nil)), 2, plan(2, two("b", false)))
	inspects(t, d, "after the next release")
}

var _ driver.Patient = (*terraform.Driver)(nil)
