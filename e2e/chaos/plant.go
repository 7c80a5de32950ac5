package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/loopback"
	"github.com/blackdice/shipwarden/internal/natsserver"
	"github.com/blackdice/shipwarden/procedure"
)

// services are the four, each of which runs twice.
var services = []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder}

// instances is how many processes of each service there are.
const instances = 2

// userChaos may do everything on the bus, as somebody who has broken into it.
const userChaos = "chaos"

// plant is everything that runs, and what can be done to it.
type plant struct {
	dir     string
	root    string // of the repository
	world   *world
	ackWait time.Duration
	log     *os.File

	nats      *process
	natsPort  int
	passwords map[string]string
	database  *database
	// services by name; grpc are the addresses of those that serve people.
	services  map[string][]*process
	addresses map[string]string
	grpc      []string

	release []func() // of addresses
	cancel  context.CancelFunc
	wait    sync.WaitGroup
}

// build builds the programs. The overlay replaces sources, and may be empty.
func build(ctx context.Context, root, bin, overlay string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	args := []string{"build", "-tags", "failpoints", "-ldflags", "-s -w", "-o", bin + string(filepath.Separator)}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	args = append(args, "./e2e/natsd", "./e2e/chaos/effect")
	for _, s := range services {
		args = append(args, "github.com/blackdice/shipwarden/services/"+s+"/cmd/shipwarden-"+s)
	}
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // Our own packages.
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the services: %w\n%s", err, out)
	}
	return nil
}

// start runs everything and returns when all services are ready once.
func (p *plant) start(ctx context.Context) error {
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := p.startBus(ctx); err != nil {
		return err
	}
	address, err := p.address()
	if err != nil {
		return err
	}
	if p.database, err = startDatabase(ctx, address, filepath.Join(p.dir, "database"), filepath.Join(p.dir, "secrets", "database.url")); err != nil {
		return err
	}
	if err := p.configure(); err != nil {
		return err
	}
	for _, name := range services {
		for i := range instances {
			s := p.service(name, i)
			p.services[name] = append(p.services[name], s)
			p.run(ctx, s)
		}
	}
	return p.ready(ctx, time.Minute)
}

func (p *plant) run(ctx context.Context, s *process) { p.wait.Go(func() { s.run(ctx) }) }

func (p *plant) startBus(ctx context.Context) error {
	address, err := p.address()
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(address)
	p.natsPort, _ = strconv.Atoi(port)
	cfg := natsserver.Config{Name: "chaos", StoreDir: filepath.Join(p.dir, "bus"), Port: p.natsPort, SyncAlways: true}
	for name, password := range p.passwords {
		cfg.Users = append(cfg.Users, natsserver.User{Name: name, Password: password})
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	file := filepath.Join(p.dir, "secrets", "bus.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	p.nats = &process{
		name: "nats", binary: filepath.Join(p.dir, "bin", "natsd"), log: p.log, pause: 200 * time.Millisecond,
		args: []string{"-config", file},
	}
	p.run(ctx, p.nats)
	if err := p.provision(ctx); err != nil {
		return err
	}
	conn, err := p.connect()
	if err != nil {
		return err
	}
	p.release = append(p.release, conn.Close)
	p.world.bus.Store(conn)
	return nil
}

// provision makes the streams, as an admin does before anything else starts.
func (p *plant) provision(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := p.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	topology := eventstore.NewTopology(1, 0).WithAckWait(p.ackWait)
	for i := range topology.Streams {
		// So that copies get in: nothing rests on the server's memory of ids. It is as
		// short as a server allows.
		topology.Streams[i].Duplicates = 100 * time.Millisecond
	}
	for {
		if err = eventstore.Provision(ctx, js, topology); err == nil {
			err = provisionBucket(ctx, js)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// connect connects to the bus as somebody who may do everything.
func (p *plant) connect() (*nats.Conn, error) {
	return nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", p.natsPort), nats.UserInfo(userChaos, p.passwords[userChaos]),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.Name("chaos"))
}

func (p *plant) service(name string, i int) *process {
	s := &process{
		name: fmt.Sprintf("%s-%d", name, i), binary: filepath.Join(p.dir, "bin", "shipwarden-"+name), log: p.log, pause: 200 * time.Millisecond,
		args: []string{"-config", p.configFile(name, i)},
		env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOMAXPROCS=2",
			failpoint.Variable + "=" + filepath.Join(p.dir, "points"),
		},
	}
	return s
}

// ready waits until every service says that it can work.
func (p *plant) ready(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, name := range services {
		for i := range p.services[name] {
			for !answers(ctx, p.httpAddress(name, i)) {
				if pause(ctx, 50*time.Millisecond); ctx.Err() != nil {
					_, last := p.services[name][i].counts()
					return fmt.Errorf("%s-%d is not ready (%s): %w", name, i, last, ctx.Err())
				}
			}
		}
	}
	return nil
}

func answers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// calm lets everything go on that was stopped.
func (p *plant) calm() {
	for _, all := range p.services {
		for _, s := range all {
			s.signal(syscall.SIGCONT)
		}
	}
}

// stop ends everything.
func (p *plant) stop() {
	if p.cancel != nil {
		p.cancel()
	}
	p.wait.Wait()
	if p.database != nil {
		p.database.stop()
	}
	for _, release := range p.release {
		release()
	}
}

func pause(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// address is one where nobody else listens until the plant stops: a process that was
// killed has to find it again.
func (p *plant) address() (string, error) {
	address, release, err := loopback.Reserve()
	if err == nil {
		p.release = append(p.release, release)
	}
	return address, err
}
