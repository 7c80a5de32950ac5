package apart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"k8s.io/client-go/rest"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// exhausted is what the process says when its time on the processor is over.
const exhausted = "no time on the processor is left"

// maxStack is the most that calls within each other may take: templates call each other.
const maxStack = 64 << 20

// Obey ends a process that was started to read a chart, when it has; in any other it returns at once. Call
// it first in main, and in the TestMain of tests that have targets of Helm.
func Obey() {
	if len(os.Args) != 2 || os.Args[1] != argument {
		return
	}
	out := os.Stdout
	os.Stdout = os.Stderr // Whoever prints disturbs nobody.
	if err := obey(os.Stdin, out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func obey(in io.Reader, out io.Writer) error {
	s := &server{hear: json.NewDecoder(in), say: json.NewEncoder(out)}
	s.hear.UseNumber() // Whole numbers stay whole.
	var l Limits
	if err := s.hear.Decode(&l); err != nil {
		return err
	}
	if err := restrain(l); err != nil {
		return err
	}
	var o Order
	if err := s.hear.Decode(&o); err != nil {
		return err
	}
	got, err := o.obey(s)
	if err != nil {
		got = answer{Refused: err.Error(), Kind: kindOf(err)}
		if len(got.Refused) > maxRefused {
			// A part of them might be the beginning of a secret, which nobody would know.
			got.Refused = largeError("chart: what it is refused for", maxRefused).Error()
		}
	}
	return s.say.Encode(message{Answer: &got})
}

// restrain has the process take no more than the limits.
func restrain(l Limits) error {
	over := make(chan os.Signal, 1)
	signal.Notify(over, syscall.SIGXCPU)
	go func() {
		<-over
		fmt.Fprintln(os.Stderr, exhausted)
		os.Exit(1)
	}()
	runtime.GOMAXPROCS(1)
	debug.SetMaxStack(maxStack)
	debug.SetMemoryLimit(l.Memory / 4 * 3) // It tidies up before the system refuses.
	return limit(l)
}

func (o Order) obey(s *server) (answer, error) {
	c, err := read(o.Chart)
	if err != nil || o.Release == nil {
		return answer{}, err
	}
	files, err := o.render(context.Background(), c, &rest.Config{Host: "http://server.invalid", Transport: s})
	if err != nil {
		return answer{}, err
	}
	if err := bounded(files); err != nil {
		return answer{}, err
	}
	got := answer{Files: make(map[string][]byte, len(files))}
	for name, text := range files {
		got.Files[name] = []byte(text)
	}
	if got.Chart, err = json.Marshal(c); err != nil {
		return answer{}, fmt.Errorf("the chart as it is kept: %w", err)
	}
	if len(got.Chart) > maxAnswer/2 {
		return answer{}, largeError("chart: what is kept of it", maxAnswer/2)
	}
	return got, nil
}

// server is the server as the process has it: it asks who started it.
type server struct {
	mu    sync.Mutex
	hear  *json.Decoder
	say   *json.Encoder
	asked int
}

// RoundTrip implements http.RoundTripper.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	uri := r.URL.RequestURI()
	switch s.asked++; {
	case r.Method != http.MethodGet:
		return nil, fmt.Errorf("%s: a chart may read: %w", r.Method, driver.ErrUnsupported)
	case s.asked > maxAsked:
		return nil, fmt.Errorf("the chart asks the server more than %d times: %w", maxAsked, driver.ErrUnsupported)
	case len(uri) > maxURI:
		return nil, largeError("a question to the server", maxURI)
	}
	if err := s.say.Encode(message{Ask: &question{URI: uri, Accept: r.Header.Get("Accept")}}); err != nil {
		return nil, err
	}
	var reply Reply
	if err := s.hear.Decode(&reply); err != nil {
		return nil, err
	}
	if reply.Failed != "" {
		return nil, fmt.Errorf("%s", reply.Failed) //nolint:err113 // As it came.
	}
	return &http.Response{
		Status: http.StatusText(reply.Status), StatusCode: reply.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {reply.Type}}, Body: io.NopCloser(bytes.NewReader(reply.Body)), ContentLength: int64(len(reply.Body)),
	}, nil
}
