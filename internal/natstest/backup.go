package natstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Backup is a copy of a stream and its consumers, as `nats stream backup` makes it.
type Backup struct {
	stream string
	// described is the stream's configuration and state, as the server wants them back.
	described description
	chunks    [][]byte
}

type description struct {
	Config json.RawMessage `json:"config"`
	State  json.RawMessage `json:"state"`
}

// backupAnswer is what the server says of a backup, and of one that is put back.
type backupAnswer struct {
	Error   *struct{ Description string } `json:"error"`
	Config  json.RawMessage               `json:"config"`
	State   json.RawMessage               `json:"state"`
	Deliver string                        `json:"deliver_subject"`
}

// TakeBackup copies a stream while it is used, through the server's own API. What is appended in
// between makes a copy that the server would not take back, and so another one is taken.
func TakeBackup(t testing.TB, n Server, stream string) Backup {
	t.Helper()
	for range 20 {
		b := takeBackup(t, n, stream)
		var state struct {
			LastSeq uint64 `json:"last_seq"`
		}
		if err := json.Unmarshal(b.described.State, &state); err != nil {
			t.Fatal(err)
		}
		s, err := n.JetStream().Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if s.CachedInfo().State.LastSeq == state.LastSeq {
			return b
		}
	}
	t.Fatalf("%s is appended to all the time", stream)
	return Backup{}
}

func takeBackup(t testing.TB, n Server, stream string) Backup {
	t.Helper()
	conn := n.Connect(t)
	inbox := conn.NewRespInbox()
	chunks, err := conn.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(map[string]any{"deliver_subject": inbox, "chunk_size": 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	said, err := ask(conn, "$JS.API.STREAM.SNAPSHOT."+stream, request, 10*time.Second)
	if err != nil {
		t.Fatalf("back %s up: %v", stream, err)
	}
	b := Backup{stream: stream, described: description{Config: said.Config, State: said.State}}
	for {
		m, err := chunks.NextMsg(readyTimeout)
		if err != nil {
			t.Fatalf("back %s up: %v", stream, err)
		}
		if len(m.Data) == 0 {
			return b
		}
		b.chunks = append(b.chunks, m.Data)
		if m.Reply == "" {
			continue
		}
		if err := m.Respond(nil); err != nil { // The next ones come when these are there.
			t.Fatal(err)
		}
	}
}

// restoreAttempts is how often a stream is put back: a server that is still busy with taking the
// old one away refuses the first message of the copy now and then.
const restoreAttempts = 5

// PutBack takes the stream away and puts the copy in its place, as somebody does who
// administers the bus. Connections are not interrupted.
func (b Backup) PutBack(t testing.TB, n Server) {
	t.Helper()
	conn := n.Connect(t)
	for attempt := 1; ; attempt++ {
		if err := n.JetStream().DeleteStream(t.Context(), b.stream); err != nil && (attempt == 1 || !errors.Is(err, jetstream.ErrStreamNotFound)) {
			t.Fatal(err)
		}
		err := b.restore(conn)
		if err == nil {
			break
		}
		if attempt == restoreAttempts {
			t.Fatalf("put %s back: %v", b.stream, err)
		}
		t.Logf("put %s back, attempt %d: %v", b.stream, attempt, err)
	}
	Eventually(t, "the stream "+b.stream+" that was put back", func() bool {
		_, err := n.JetStream().Stream(t.Context(), b.stream)
		return err == nil
	})
}

func (b Backup) restore(conn *nats.Conn) error {
	described, err := json.Marshal(b.described)
	if err != nil {
		return err
	}
	begun, err := ask(conn, "$JS.API.STREAM.RESTORE."+b.stream, described, 10*time.Second)
	if err != nil {
		return err
	}
	for _, chunk := range append(b.chunks, nil) {
		if _, err := ask(conn, begun.Deliver, chunk, readyTimeout); err != nil {
			return err
		}
	}
	return nil
}

func ask(conn *nats.Conn, subject string, request []byte, patience time.Duration) (backupAnswer, error) {
	m, err := conn.Request(subject, request, patience)
	if err != nil {
		return backupAnswer{}, fmt.Errorf("%s: %w", subject, err)
	}
	var a backupAnswer
	if len(m.Data) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return a, fmt.Errorf("%q: %w", m.Data, err)
	}
	if a.Error != nil {
		return a, fmt.Errorf("the server refuses: %s", a.Error.Description)
	}
	return a, nil
}
