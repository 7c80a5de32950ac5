//go:build clients

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/e2e/rig"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The same with the programs that people use, as docs/clients.md says it: nats,
// grpcurl and promtool of .bin. `make clients` builds them and runs this.
func TestPlainClients(t *testing.T) {
	t.Parallel()
	y := open(t, plan{})
	id := y.release(y.build("1.0.0", 0), "first", nil)
	y.tell("nats asks for a release, and hears of it", (*yard).natsCommand)
	y.tell("nats may not do what its user may not", (*yard).natsRefused)
	y.tell("grpcurl lists, describes and calls", func(y *yard) { y.grpcurl(id) })
	y.tell("promtool finds the metrics clean", (*yard).promtool)
}

// program runs one of the programs of .bin, and returns all that it says.
func (y *yard) program(ctx context.Context, env []string, in string, argv ...string) (string, error) {
	y.Helper()
	name, err := filepath.Abs(filepath.Join("..", ".bin", argv[0]))
	if err != nil {
		y.Fatal(err)
	}
	if _, err := os.Stat(name); err != nil {
		name = argv[0] // promtool may be the system's
	}
	cmd := exec.CommandContext(ctx, name, argv[1:]...)
	cmd.Env = append([]string{"HOME=" + y.world.Folder("home"), "PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stdin = strings.NewReader(in)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// works runs a program that must end well.
func (y *yard) works(env []string, in string, argv ...string) string {
	y.Helper()
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	out, err := y.program(ctx, env, in, argv...)
	if err != nil {
		y.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// user is the environment by which nats knows where and who it is.
func (y *yard) user(name string) []string {
	y.Helper()
	password, err := os.ReadFile(y.PasswordFile(name))
	if err != nil {
		y.Fatal(err)
	}
	return []string{"NATS_URL=" + y.NATSURL(), "NATS_USER=" + name, "NATS_PASSWORD=" + string(password)}
}

// listen lets nats listen until so many messages came.
func (y *yard) listen(user string, argv ...string) <-chan string {
	y.Helper()
	heard := make(chan string, 1)
	env := y.user(user)
	go func() {
		ctx, cancel := context.WithTimeout(y.Context(), patience)
		defer cancel()
		out, err := y.program(ctx, env, "", append([]string{"nats", "sub"}, argv...)...)
		if err != nil {
			out += "\n" + err.Error()
		}
		heard <- out
	}()
	return heard
}

func (y *yard) natsCommand() {
	request, err := y.world.Request(y.build("1.1.0", 0), "by-command")
	if err != nil {
		y.Fatal(err)
	}
	body, err := protojson.Marshal(request)
	if err != nil {
		y.Fatal(err)
	}
	events := y.listen(rig.UserObserver, "rel.>", "--count", "3")
	answers := y.listen(rig.UserCI, "answer.production.shop.by-command", "--count", "1", "--raw")
	ask := func() {
		y.works(y.user(rig.UserCI), string(body), "nats", "pub", "request.production.shop", "--force-stdin", "--no-templates",
			"-H", "Content-Type:application/json")
	}
	// Nobody tells when the others listen. The same request is the same release, and
	// is answered as often as it is sent.
	ask()
	answer := &releasev1.Answer{}
	for text, ticker := "", time.NewTicker(time.Second); text == ""; {
		select {
		case text = <-answers:
			ticker.Stop()
			if err := protojson.Unmarshal([]byte(text), answer); err != nil {
				y.Fatalf("%v: %s", err, text)
			}
		case <-ticker.C:
			ask()
		}
	}
	if answer.GetRelease() == "" {
		y.Fatalf("it was answered with %v", answer)
	}
	y.reach(answer.GetRelease(), "approve")
	y.lateReader("answer.production.shop.by-command.change", answer.GetRelease())
	y.withdraw(answer.GetRelease())
	heard := <-events
	for _, part := range []string{"rel." + answer.GetRelease() + ".", "ce-type: ", "Shipwarden-Signature: "} {
		if !strings.Contains(heard, part) {
			y.Errorf("%q is not in what the observer heard:\n%s", part, heard)
		}
	}
}

// lateReader finds the second answer in the stream, with the digest that approvals are
// bound to.
func (y *yard) lateReader(subject, release string) {
	ctx, cancel := context.WithTimeout(y.Context(), patience)
	defer cancel()
	for {
		out, err := y.program(ctx, y.user(rig.UserCI), "", "nats", "stream", "get", "ANSWERS", "--last-for", subject)
		if err == nil {
			for _, part := range []string{"OUTCOME_CHANGE_FIXED", release, `"changeDigest":`} {
				if !strings.Contains(strings.ReplaceAll(out, `": `, `":`), part) {
					y.Errorf("%q is not in the second answer:\n%s", part, out)
				}
			}
			return
		}
		select {
		case <-ctx.Done():
			y.Fatalf("nothing on %s: %v\n%s", subject, err, out)
		case <-time.After(time.Second):
		}
	}
}

func (y *yard) natsRefused() {
	for _, tt := range []struct {
		user string
		argv []string
	}{
		{rig.UserCI, []string{"pub", "rel.shop-1.approval.approval_given", "{}"}},
		{rig.UserCI, []string{"pub", "answer.production.shop.x", "{}"}},
		{rig.UserCI, []string{"sub", "rel.>", "--wait", "5s"}},
		{rig.UserCI, []string{"sub", "request.>", "--wait", "5s"}},
		{rig.UserCI, []string{"stream", "get", "REQUESTS", "1", "--timeout", "1s"}},
		{rig.UserCI, []string{"stream", "rm", "REL", "-f", "--timeout", "1s"}},
		{rig.UserCI, []string{"object", "ls", "EVIDENCE", "--timeout", "1s"}},
		{rig.UserObserver, []string{"pub", "request.production.shop", "{}"}},
	} {
		ctx, cancel := context.WithTimeout(y.Context(), 10*time.Second)
		out, _ := y.program(ctx, y.user(tt.user), "", append([]string{"nats"}, tt.argv...)...)
		cancel()
		if !strings.Contains(strings.ToLower(out), "permissions violation") {
			y.Errorf("%s may run nats %v:\n%s", tt.user, tt.argv, out)
		}
	}
}

func (y *yard) grpcurl(id string) {
	const recorder = "shipwarden.recorder.v1.RecorderService"
	if out := y.works(nil, "", "grpcurl", "-plaintext", y.ApprovalURL, "list"); !strings.Contains(out, "shipwarden.approval.v1.ApprovalService") {
		y.Errorf("the approval service lists %s", out)
	}
	if out := y.works(nil, "", "grpcurl", "-plaintext", y.RecorderURL, "list", recorder); !strings.Contains(out, recorder+".GetRelease") {
		y.Errorf("the recorder lists %s", out)
	}
	if out := y.works(nil, "", "grpcurl", "-plaintext", y.RecorderURL, "describe", "shipwarden.recorder.v1.GetReleaseRequest"); !strings.Contains(out, "pattern") {
		y.Errorf("the rules of a request are not described: %s", out)
	}
	call := []string{"grpcurl", "-plaintext", "-expand-headers", "-H", "authorization: Bearer ${TOKEN}", "-d", `{"release": "` + id + `"}`}
	token := []string{"TOKEN=" + y.token(rig.Auditor)}
	if out := y.works(token, "", append(call, y.RecorderURL, recorder+"/GetRelease")...); !strings.Contains(out, `"OUTCOME_SUCCEEDED"`) {
		y.Errorf("GetRelease answers %s", out)
	}
	call[len(call)-1] = `{"filter": {"service": "shop", "open": false}, "page_size": 10}`
	if out := y.works(token, "", append(call, y.RecorderURL, recorder+"/ListReleases")...); !strings.Contains(out, id) {
		y.Errorf("ListReleases answers %s", out)
	}
	out, err := y.program(y.Context(), []string{"TOKEN=nobody's"}, "", append(call, y.RecorderURL, recorder+"/ListReleases")...)
	if err == nil || !strings.Contains(out, "Unauthenticated") {
		y.Errorf("a stranger is answered: %v %s", err, out)
	}
}

func (y *yard) promtool() {
	for name, address := range y.HTTP {
		if out := y.works(nil, fetch(y.T, "http://"+address+"/metrics"), "promtool", "check", "metrics"); out != "" {
			y.Errorf("%s: %s", name, out)
		}
	}
}
