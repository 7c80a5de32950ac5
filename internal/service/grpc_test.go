package service_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/service"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// recorder is a real implementation of a small part of the contract.
type recorder struct {
	recorderv1.UnimplementedRecorderServiceServer
}

func (recorder) GetRelease(_ context.Context, r *recorderv1.GetReleaseRequest) (*recorderv1.GetReleaseResponse, error) {
	return &recorderv1.GetReleaseResponse{Release: &recorderv1.Release{Release: r.GetRelease()}}, nil
}

func (recorder) GetStatus(context.Context, *recorderv1.GetStatusRequest) (*recorderv1.GetStatusResponse, error) {
	panic("secret detail")
}

// serveGRPC runs a server until the test ends; stop ends it sooner.
func serveGRPC(t *testing.T, cfg service.GRPCConfig) (server *service.GRPCServer, stop func() error) {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	if cfg.Registry == nil {
		cfg.Registry = service.NewRegistry("test")
	}
	if cfg.Health == nil {
		cfg.Health = &service.Health{}
	}
	server, err := service.NewGRPCServer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	recorderv1.RegisterRecorderServiceServer(server.Server, recorder{})
	approvalv1.RegisterApprovalServiceServer(server.Server, approvalv1.UnimplementedApprovalServiceServer{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var result error
	go func() { result = server.Run(ctx); close(ended) }()
	stop = func() error { cancel(); <-ended; return result }
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the server ends with %v", err)
		}
	})
	return server, stop
}

func client(t *testing.T, server *service.GRPCServer, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	if len(options) == 0 {
		options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	conn, err := grpc.NewClient(server.Addr(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

const someRelease = "payments-2026-0001"

func TestAPanicIsAnInternalErrorThatIsLoggedAndCounted(t *testing.T) {
	var log bytes.Buffer
	previous := slog.Default()
	slog.SetDefault(service.NewLogger(&log, "test", nil))
	t.Cleanup(func() { slog.SetDefault(previous) })
	registry := service.NewRegistry("test")
	server, stop := serveGRPC(t, service.GRPCConfig{Registry: registry})
	api := recorderv1.NewRecorderServiceClient(client(t, server))
	_, err := api.GetStatus(t.Context(), &recorderv1.GetStatusRequest{})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want Internal without the detail", err)
	}
	if err := stop(); err != nil { // and with it all writing to the log
		t.Fatal(err)
	}
	for _, part := range []string{"secret detail", "grpc_test.go", `"grpc.method":"GetStatus"`, `"grpc.code":"Internal"`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q:\n%s", part, log.String())
		}
	}
	if info := reasonOf(t, err); info.GetReason() != "INTERNAL" || info.GetDomain() != "shipwarden.recorder.v1" {
		t.Errorf("reason %v", info)
	}
	if got := counter(t, registry, "grpc_server_handled_total", "GetStatus", "Internal"); got != 1 {
		t.Errorf("counted %v times", got)
	}
	if problems, err := testutil.GatherAndLint(registry, "grpc_server_handling_seconds"); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// counter returns the value of a grpc counter by method and code.
func counter(t *testing.T, registry *prometheus.Registry, name, method, code string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if family.GetName() == name && labels["grpc_method"] == method && labels["grpc_code"] == code {
				return metric.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestCallsHaveLimits(t *testing.T) {
	server, _ := serveGRPC(t, service.GRPCConfig{})
	api := recorderv1.NewRecorderServiceClient(client(t, server))
	_, err := api.GetRelease(t.Context(), &recorderv1.GetReleaseRequest{Release: strings.Repeat("x", service.MaxMessageBytes)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of over a mebibyte: got %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x", strings.Repeat("x", 2*service.MaxMetadataBytes))
	if _, err = api.GetRelease(ctx, &recorderv1.GetReleaseRequest{Release: someRelease}); err == nil {
		t.Error("oversized metadata was taken")
	}
	if _, err = api.GetRelease(t.Context(), &recorderv1.GetReleaseRequest{Release: someRelease}); err != nil {
		t.Errorf("the next good call: %v", err)
	}
}

func TestOwnInterceptorsRunBeforeValidation(t *testing.T) {
	deny := func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
		return nil, status.Error(codes.Unauthenticated, "who are you")
	}
	server, _ := serveGRPC(t, service.GRPCConfig{Unary: []grpc.UnaryServerInterceptor{deny}})
	api := recorderv1.NewRecorderServiceClient(client(t, server))
	_, err := api.GetRelease(t.Context(), &recorderv1.GetReleaseRequest{})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("got %v, want Unauthenticated", err)
	}
}

func TestGRPCOverMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	server, _ := serveGRPC(t, service.GRPCConfig{TLS: serverTLS(t, ca.issue(t, "recorder"))})
	call := func(option grpc.DialOption) error {
		api := recorderv1.NewRecorderServiceClient(client(t, server, option))
		_, err := api.GetRelease(t.Context(), &recorderv1.GetReleaseRequest{Release: someRelease})
		return err
	}
	friend := grpc.WithTransportCredentials(grpccredentials.NewTLS(clientTLS(t, ca.issue(t, "friend"))))
	if err := call(friend); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	strange := newAuthority(t).issue(t, "stranger")
	strange.CaFile = ca.file
	stranger := grpc.WithTransportCredentials(grpccredentials.NewTLS(clientTLS(t, strange)))
	for name, option := range map[string]grpc.DialOption{
		"stranger": stranger, "plain text": grpc.WithTransportCredentials(insecure.NewCredentials()),
	} {
		if err := call(option); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v, want Unavailable", name, err)
		}
	}
}

func TestGRPCHealthFollowsReadinessUntilTheEnd(t *testing.T) {
	var broken atomic.Bool
	health := &service.Health{}
	health.Add("nats", func(context.Context) error {
		if broken.Load() {
			return errors.New("gone")
		}
		return nil
	})
	server, stop := serveGRPC(t, service.GRPCConfig{Health: health})
	api := grpc_health_v1.NewHealthClient(client(t, server))
	names := []string{"", "shipwarden.recorder.v1.RecorderService", "shipwarden.approval.v1.ApprovalService"}
	watches := map[string]grpc.ServerStreamingClient[grpc_health_v1.HealthCheckResponse]{}
	for _, name := range names {
		watch, err := api.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		watches[name] = watch
	}
	expect := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for name, watch := range watches {
			seen, err := watch.Recv()
			if err != nil || seen.GetStatus() != want {
				t.Fatalf("the watch of %q says %v, %v; want %v", name, seen.GetStatus(), err, want)
			}
			answer, err := api.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
			if err != nil || answer.GetStatus() != want {
				t.Errorf("the check of %q says %v, %v; want %v", name, answer.GetStatus(), err, want)
			}
		}
		all, err := api.List(t.Context(), &grpc_health_v1.HealthListRequest{})
		for _, name := range names {
			if got, ok := all.GetStatuses()[name]; err != nil || !ok || got.GetStatus() != want {
				t.Errorf("the list says of %q %v, %v; want %v", name, got, err, want)
			}
		}
	}
	expect(grpc_health_v1.HealthCheckResponse_SERVING)
	broken.Store(true)
	expect(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	broken.Store(false)
	expect(grpc_health_v1.HealthCheckResponse_SERVING)
	if _, err := api.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "x"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown service: got %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("with an open watch the server ends with %v", err)
	}
	for name, watch := range watches {
		if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the watch of %q ends with %v", name, err)
		}
	}
}

func TestReflectionListsWhatIsServed(t *testing.T) {
	server, _ := serveGRPC(t, service.GRPCConfig{})
	stream, err := grpc_reflection_v1.NewServerReflectionClient(client(t, server)).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"shipwarden.recorder.v1.RecorderService", "grpc.health.v1.Health"} {
		if !strings.Contains(strings.Join(names, " "), want) {
			t.Errorf("services %v lack %s", names, want)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v", err)
	}
}
