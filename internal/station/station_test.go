package station_test

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/loopback/loopbacktest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.Leftovers()...) }

// config is that of the approval service, with its key and keyring in files.
func config(t *testing.T, url string, key ed25519.PrivateKey) *configv1.Common {
	t.Helper()
	folder := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := protojson.Marshal(envelopetest.Config())
	if err != nil {
		t.Fatal(err)
	}
	c := &configv1.Common{
		Nats:        &configv1.Nats{Urls: []string{url}},
		SigningKey:  &configv1.SigningKey{Id: envelopetest.KeyID(procedure.ServiceApproval), File: filepath.Join(folder, "key.pem")},
		KeyringFile: filepath.Join(folder, "keyring.yaml"), HttpListen: loopbacktest.Address(t), Workers: 2,
	}
	for path, content := range map[string][]byte{
		c.GetSigningKey().GetFile(): pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), c.GetKeyringFile(): ring,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// status asks a station for a page; 0 where nobody answers.
func status(t *testing.T, address, path string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestAKeyThatNobodyTrustsIsRefusedAtTheStart, and not when the first event is needed.
func TestAKeyThatNobodyTrustsIsRefusedAtTheStart(t *testing.T) {
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := envelopetest.PrivateKey(procedure.ServiceApproval)
	for _, test := range []struct {
		name    string
		service string
		key     ed25519.PrivateKey
		change  func(c *configv1.Common)
		want    string
	}{
		{"a key that the keyring does not have", procedure.ServiceApproval, stranger, func(*configv1.Common) {}, "signing_key.id"},
		{"the key of another service", procedure.ServiceApproval, envelopetest.PrivateKey(procedure.ServiceExecutor), func(*configv1.Common) {}, "signing_key.id"},
		{"the key's id is another's", procedure.ServiceApproval, own, func(c *configv1.Common) { c.SigningKey.Id = envelopetest.KeyID(procedure.ServiceExecutor) }, "signing_key.id"},
		{"an id that the keyring does not have", procedure.ServiceApproval, own, func(c *configv1.Common) { c.SigningKey.Id = "none" }, "signing_key.id"},
		{"a service that may not sign with it", procedure.ServiceExecutor, own, func(*configv1.Common) {}, "signing_key.id"},
		{"no key file", procedure.ServiceApproval, own, func(c *configv1.Common) { c.SigningKey.File += ".none" }, "signing_key.file"},
		{"a key file that is none", procedure.ServiceApproval, own, func(c *configv1.Common) { c.SigningKey.File = c.GetKeyringFile() }, "signing_key.file"},
		{"no keyring", procedure.ServiceApproval, own, func(c *configv1.Common) { c.KeyringFile += ".none" }, "keyring_file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := config(t, "nats://127.0.0.1:1", test.key)
			test.change(c)
			s, err := station.Open(t.Context(), test.service, c)
			if s != nil || err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("%v, %v; want an error about %s", s, err, test.want)
			}
			if test.want == "signing_key.id" && !errors.Is(err, station.ErrKey) {
				t.Errorf("%v is no ErrKey", err)
			}
			if strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
}

func TestNothingIsLeftOpenWhenItCannotStart(t *testing.T) {
	for name, change := range map[string]func(c *configv1.Common){
		"the bus cannot be configured": func(c *configv1.Common) { c.Nats.NkeySeedFile = "/none" },
		"nobody waits any longer":      func(*configv1.Common) {},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, "nats://127.0.0.1:1", envelopetest.PrivateKey(procedure.ServiceApproval))
			change(c)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := station.Open(ctx, procedure.ServiceApproval, c); err == nil {
				t.Fatal("it started")
			}
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", c.GetHttpListen())
			if err != nil {
				t.Fatalf("the address is still taken: %v", err)
			}
			_ = listener.Close()
		})
	}
}

// TestAStationWaitsForTheStreams is started before the server, and before the admin
// step made the streams. It says that it lives and is not ready, and works once both
// are there.
func TestAStationWaitsForTheStreams(t *testing.T) {
	n := natstest.Single(t)
	n.Stop(t, 0)
	c := config(t, n.URL(), envelopetest.PrivateKey(procedure.ServiceApproval))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	defer cancel()
	opened, ended := make(chan *station.Station, 1), make(chan error, 1)
	worked := make(chan string, 8)
	go func() {
		s, err := station.Open(ctx, procedure.ServiceApproval, c)
		if err != nil {
			ended <- err
			return
		}
		s.Step(reactor.Step{ID: procedure.StepGates, Act: func(_ context.Context, task reactor.Task) ([]eventstore.Draft, error) {
			worked <- task.State.Release
			return []eventstore.Draft{task.Draft(proceduretest.Gates(task.State))}, nil
		}})
		opened <- s
		ended <- s.Run(ctx)
	}()
	natstest.Eventually(t, "an answer", func() bool { return status(t, c.GetHttpListen(), "/healthz") == http.StatusOK })
	if got := status(t, c.GetHttpListen(), "/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("ready without a server: %d", got)
	}
	n.Start(t, 0)
	if got := status(t, c.GetHttpListen(), "/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("ready without streams: %d", got)
	}
	eventstoretest.Provision(t, n)
	var s *station.Station
	select {
	case s = <-opened:
	case err := <-ended:
		t.Fatalf("it ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("it waits in vain")
	}
	natstest.Eventually(t, "readiness", func() bool { return status(t, c.GetHttpListen(), "/readyz") == http.StatusOK })

	request := proceduretest.Request()
	release := procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey())
	event := proceduretest.Requested(request, time.Now())
	event.ProcedureDigest = proceduretest.ProcedureDigest
	if _, err := s.Store.Append(t.Context(), eventstore.Draft{Aggregate: procedure.Aggregate(release), Event: event}); err != nil {
		t.Fatal(err)
	}
	natstest.Eventually(t, "the step's event", func() bool {
		h, err := s.Store.Load(t.Context(), procedure.Aggregate(release))
		if err != nil {
			return false
		}
		state, _ := procedure.Fold(release, h.Entries)
		return state.Phase == procedure.PhaseScope
	})
	if got := <-worked; got != release {
		t.Errorf("worked on %s", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if got := status(t, c.GetHttpListen(), "/healthz"); got != 0 {
		t.Errorf("it answers after its end: %d", got)
	}
}

func TestEveryProcessHasANameOfItsOwn(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	names := map[string]bool{}
	for range 2 {
		c := config(t, n.URL(), envelopetest.PrivateKey(procedure.ServiceApproval))
		s, err := station.Open(t.Context(), procedure.ServiceApproval, c)
		if err != nil {
			t.Fatal(err)
		}
		names[s.Process] = true
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if !strings.HasPrefix(s.Process, procedure.ServiceApproval+"-") || s.Name != procedure.ServiceApproval {
			t.Errorf("process %q of %q", s.Process, s.Name)
		}
	}
	if len(names) != 2 {
		t.Errorf("names %v", names)
	}
}
