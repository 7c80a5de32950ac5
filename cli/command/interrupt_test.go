package command

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/blackdice/shipwarden/cli/exit"
)

// writer calls first when something is written for the first time.
type writer struct {
	first func()
}

func (w *writer) Write(p []byte) (int, error) {
	w.first()
	return len(p), nil
}

func TestAnInterruptedWatchEndsAsThat(t *testing.T) {
	t.Chdir(t.TempDir())
	_, address := serve(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var said bytes.Buffer
	code := Main(ctx, []string{"watch", "shop-slow", "--recorder-url", address}, Process{
		In: bytes.NewReader(nil), Out: &writer{first: interrupt}, Err: &said, Getenv: func(string) string { return "" },
	})
	if code != exit.Interrupted || !bytes.Contains(said.Bytes(), []byte("shipwarden: interrupted")) {
		t.Errorf("code %d, said %q", code, said.String())
	}
}

// Whoever presses Ctrl-C at the question has not approved.
func TestAnInterruptedQuestionIsANo(t *testing.T) {
	t.Chdir(t.TempDir())
	s, address := serve(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	nobody, hold := io.Pipe()
	defer func() { _ = hold.Close() }()
	asked := &writer{first: interrupt}
	code := Main(ctx, []string{"approve", waiting, "--approval-url", address}, Process{
		In: nobody, InTerminal: true, Out: io.Discard, Err: asked, Getenv: func(string) string { return "" },
	})
	if code != exit.Interrupted || len(s.calls) != 0 {
		t.Errorf("code %d, calls %v", code, s.calls)
	}
}
