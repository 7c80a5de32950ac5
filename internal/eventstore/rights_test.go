package eventstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natsserver"
	"github.com/blackdice/shipwarden/procedure"
)

var everyService = []string{
	procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder,
}

// What each service may do is pinned: a right that is added is seen in review.
func TestRightsAreAsWrittenDown(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, service := range everyService {
		r := eventstore.RightsOf(service)
		fmt.Fprintf(&out, "%s\n", service)
		for _, s := range r.Publish {
			fmt.Fprintf(&out, "  publish    %s\n", s)
		}
		for _, s := range r.Subscribe {
			fmt.Fprintf(&out, "  subscribe  %s\n", s)
		}
	}
	path := filepath.Join("testdata", "rights.golden")
	if *rewrite {
		if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("rights differ from %s:\n%s", path, out.String())
	}
}

// Every service, with its own credentials in hand, tries what is not its own (S1).
func TestNoServiceMayActAsAnother(t *testing.T) {
	t.Parallel()
	users := []natsserver.User{}
	for _, service := range everyService {
		r := eventstore.RightsOf(service)
		users = append(users, natsserver.User{Name: service, Password: service, Publish: r.Publish, Subscribe: r.Subscribe})
	}
	server, err := natsserver.Start(t.Context(), natsserver.Config{StoreDir: t.TempDir(), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	for _, service := range everyService {
		t.Run(service, func(t *testing.T) {
			for _, subject := range forbidden(service) {
				if err := publish(t, server, service, subject); !errors.Is(err, nats.ErrPermissionViolation) {
					t.Errorf("%s may publish on %s", service, subject)
				}
			}
			if err := publish(t, server, service, "rel.shop-1."+service+".something"); err != nil {
				t.Errorf("%s may not append its own events: %v", service, err)
			}
			for _, inbox := range everyService {
				err := listen(t, server, service, eventstore.Inbox(inbox)+".x")
				if own := inbox == service; own == (err != nil) {
					t.Errorf("%s listens on the inbox of %s: %v", service, inbox, err)
				}
			}
			for _, subject := range []string{"rel.>", ">", "_INBOX.>", "$JS.EVENT.>"} {
				if err := listen(t, server, service, subject); !errors.Is(err, nats.ErrPermissionViolation) {
					t.Errorf("%s may subscribe to %s", service, subject)
				}
			}
		})
	}
}

// forbidden is what a service must not do: speak for another, work another's
// durables, forge requests, and change what holds the record.
func forbidden(service string) []string {
	out := []string{"request.production.shop", "$SYS.REQ.SERVER.PING", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.NAMES"}
	for _, stream := range []string{"REL", "REQUESTS", "ANSWERS", "TIMERS", "PARKED", "OBJ_EVIDENCE"} {
		for _, verb := range []string{"UPDATE", "DELETE", "PURGE", "RESTORE", "SNAPSHOT", "MSG.DELETE", "LEADER.STEPDOWN"} {
			out = append(out, "$JS.API.STREAM."+verb+"."+stream)
		}
	}
	for _, other := range everyService {
		if other != service {
			out = append(out, "rel.shop-1."+other+".authorized")
		}
	}
	for _, step := range procedure.Steps {
		if step.Service != service {
			out = append(out, "park."+string(step.ID)+".REL.1.poisoned")
		}
		if step.Service == service || len(step.Subjects()) == 0 {
			continue
		}
		id := string(step.ID)
		out = append(out, "$JS.API.CONSUMER.DELETE.REL."+id, "$JS.ACK.REL."+id+".1.1.1.1.1")
		out = append(out, "$JS.API.CONSUMER.MSG.NEXT.REL."+id, "$JS.API.CONSUMER.CREATE.REL."+id)
	}
	if service == procedure.ServiceRecorder {
		out = append(out, "$O.EVIDENCE.C.x")
	}
	if service != procedure.ServiceExecutor {
		out = append(out, "tgt.shop-eu1.executor.target_locked", "art.sha256-0a.executor.artifact_quarantined")
	}
	if service != procedure.ServiceApproval {
		out = append(out, "svc.production--shop.approval.service_changed", "pol.proc.approval.procedure_activated", "art.sha256-0a.approval.quarantine_cleared", "answer.production.shop.k", "timer.set.r.1", "$KV.DEADLINES.r")
	}
	return out
}

func connect(t *testing.T, server *natsserver.Server, user string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(server.ClientURL(), nats.UserInfo(user, user), nats.Timeout(time.Minute), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// publish returns what the server says to it: a refusal comes before the answer to
// the flush.
func publish(t *testing.T, server *natsserver.Server, user, subject string) error {
	t.Helper()
	conn := connect(t, server, user)
	if err := conn.Publish(subject, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return conn.LastError()
}

func listen(t *testing.T, server *natsserver.Server, user, subject string) error {
	t.Helper()
	conn := connect(t, server, user)
	if _, err := conn.SubscribeSync(subject); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return conn.LastError()
}
