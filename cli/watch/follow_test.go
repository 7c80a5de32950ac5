package watch_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/watch"
	"github.com/blackdice/shipwarden/internal/loopback/loopbacktest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// recorder answers each watch with the next of its courses.
type recorder struct {
	recorderv1.UnimplementedRecorderServiceServer
	course func(send func(*recorderv1.Release)) error
}

func (r *recorder) WatchRelease(_ *recorderv1.WatchReleaseRequest, stream grpc.ServerStreamingServer[recorderv1.WatchReleaseResponse]) error {
	return r.course(func(release *recorderv1.Release) {
		_ = stream.Send(&recorderv1.WatchReleaseResponse{Release: release})
	})
}

// start serves a recorder at the address, which may have port 0.
func start(t *testing.T, address string, course func(send func(*recorderv1.Release)) error) (*grpc.Server, string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	recorderv1.RegisterRecorderServiceServer(server, &recorder{course: course})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return server, listener.Addr().String()
}

func client(t *testing.T, address string) recorderv1.RecorderServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return recorderv1.NewRecorderServiceClient(conn)
}

var (
	under = &recorderv1.Release{Release: "shop", Phase: "verify"}
	over  = &recorderv1.Release{Release: "shop", Closed: true, Outcome: releasev1.Outcome_OUTCOME_SUCCEEDED}
)

func TestARecorderThatRestartsIsWaitedFor(t *testing.T) {
	seen := make(chan struct{})
	var asked atomic.Int32
	first, address := start(t, loopbacktest.Address(t), func(send func(*recorderv1.Release)) error {
		if asked.Add(1) == 1 { // It may be asked again before it is gone.
			send(under)
			<-seen
		}
		return status.Error(codes.Unavailable, "going down")
	})
	lost := make(chan error, 1000)
	shown := 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		<-seen
		first.Stop()
		<-lost
		start(t, address, func(send func(*recorderv1.Release)) error {
			send(over)
			return nil
		})
	}()
	got, err := watch.Follow(ctx, client(t, address), "shop", watch.Options{
		Show: func(*recorderv1.WatchReleaseResponse) {
			if shown++; shown == 1 {
				close(seen)
			}
		},
		Notice: func(err error) { lost <- err },
	})
	if err != nil || !got.GetClosed() || shown != 2 {
		t.Errorf("%v, shown %d times, error %v", got, shown, err)
	}
}

func TestAStreamThatEndsTooEarlyIsNoEnd(t *testing.T) {
	times := 0
	_, address := start(t, "127.0.0.1:0", func(send func(*recorderv1.Release)) error {
		if times++; times < 3 {
			send(under)
			return nil
		}
		send(over)
		return nil
	})
	notices := 0
	got, err := watch.Follow(t.Context(), client(t, address), "shop", watch.Options{
		Show:   func(*recorderv1.WatchReleaseResponse) {},
		Notice: func(error) { notices++ },
	})
	if err != nil || !got.GetClosed() || notices != 2 {
		t.Errorf("%v, %d notices, error %v", got, notices, err)
	}
}

func TestAReleaseThatIsNotKnownYetIsWaitedFor(t *testing.T) {
	times := 0
	_, address := start(t, "127.0.0.1:0", func(send func(*recorderv1.Release)) error {
		if times++; times < 3 {
			return status.Error(codes.NotFound, "no such release")
		}
		send(over)
		return nil
	})
	options := watch.Options{Patience: time.Minute, Show: func(*recorderv1.WatchReleaseResponse) {}, Notice: func(error) {}}
	if _, err := watch.Follow(t.Context(), client(t, address), "shop", options); err != nil {
		t.Error(err)
	}
	times, options.Patience = 0, 0
	if _, err := watch.Follow(t.Context(), client(t, address), "shop", options); status.Code(err) != codes.NotFound {
		t.Errorf("without patience: %v", err)
	}
}

func TestAnAnswerThatCannotChangeEndsIt(t *testing.T) {
	times := 0
	_, address := start(t, "127.0.0.1:0", func(send func(*recorderv1.Release)) error {
		if times++; times == 1 {
			send(under)
			return nil
		}
		return status.Error(codes.PermissionDenied, "no more")
	})
	got, err := watch.Follow(t.Context(), client(t, address), "shop", watch.Options{
		Show: func(*recorderv1.WatchReleaseResponse) {}, Notice: func(error) {},
	})
	if status.Code(err) != codes.PermissionDenied || got.GetPhase() != "verify" {
		t.Errorf("%v, error %v", got, err)
	}
}

func TestOver(t *testing.T) {
	record := func(s recorderv1.Step_Status) []*recorderv1.Step { return []*recorderv1.Step{{Number: "8", Status: s}} }
	for _, test := range []struct {
		name string
		r    *recorderv1.Release
		want bool
	}{
		{"closed", &recorderv1.Release{Closed: true}, true},
		{"under way", &recorderv1.Release{Steps: record(recorderv1.Step_STATUS_PENDING)}, false},
		{"ended, not recorded", &recorderv1.Release{Outcome: 1, Steps: record(recorderv1.Step_STATUS_RUNNING)}, false},
		{"recorded, review owed", &recorderv1.Release{Outcome: 1, Steps: record(recorderv1.Step_STATUS_DONE)}, true},
	} {
		if got := watch.Over(test.r); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
