package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	grpcprom "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/blackdice/shipwarden/internal/refusal"
)

// The limits of every gRPC server. They bound what one client can make a
// service hold in memory.
const (
	// MaxMessageBytes is the largest request and the largest response.
	MaxMessageBytes = 1 << 20
	// MaxMetadataBytes bounds the headers of one call.
	MaxMetadataBytes = 16 << 10
	// MaxStreams bounds the calls under way on one connection.
	MaxStreams = 128

	grpcHandshakeTimeout = 10 * time.Second
	grpcPingInterval     = 10 * time.Second // clients may not ping more often
	grpcServerPing       = 30 * time.Second
	grpcServerPingWait   = 10 * time.Second
	grpcMaxIdle          = 15 * time.Minute
	grpcDrainTimeout     = 10 * time.Second
)

// GRPCConfig says how to serve gRPC.
type GRPCConfig struct {
	// Listen is the address. Port 0 means a free one.
	Listen string
	// TLS protects the connections. Nil means plain text.
	TLS *tls.Config
	// Registry gets the grpc_server_… metrics.
	Registry *prometheus.Registry
	// Health is what the health service answers from.
	Health *Health
	// Unary and Stream are the service's own interceptors, authentication above
	// all. They run inside logging, metrics and recovery, before validation.
	Unary  []grpc.UnaryServerInterceptor
	Stream []grpc.StreamServerInterceptor
}

// GRPCServer is a gRPC server with reflection and health on board. Register the
// service's own implementations on Server before Run.
type GRPCServer struct {
	// Server is where implementations are registered.
	Server *grpc.Server

	listener net.Listener
	metrics  *grpcprom.ServerMetrics
	health   *healthService
}

// NewGRPCServer listens on the address at once, so that a taken port is an error
// at the start; Run answers.
func NewGRPCServer(ctx context.Context, cfg GRPCConfig) (*GRPCServer, error) {
	metrics := grpcprom.NewServerMetrics(grpcprom.WithServerHandlingTimeHistogram())
	if err := cfg.Registry.Register(metrics); err != nil {
		return nil, fmt.Errorf("register grpc metrics: %w", err)
	}
	onPanic := recovery.WithRecoveryHandlerContext(answerPanic)
	logOptions := []logging.Option{
		logging.WithLogOnEvents(logging.FinishCall),
		logging.WithDurationField(logging.DurationToDurationField),
	}
	// Outermost first: a panic has become an error when it is logged and counted.
	unary := []grpc.UnaryServerInterceptor{
		metrics.UnaryServerInterceptor(),
		logging.UnaryServerInterceptor(logging.LoggerFunc(logCall), logOptions...),
		recovery.UnaryServerInterceptor(onPanic),
	}
	stream := []grpc.StreamServerInterceptor{
		metrics.StreamServerInterceptor(),
		logging.StreamServerInterceptor(logging.LoggerFunc(logCall), logOptions...),
		recovery.StreamServerInterceptor(onPanic),
	}
	unary = append(append(unary, cfg.Unary...), validateUnary)
	stream = append(append(stream, cfg.Stream...), validateStream)
	options := append(grpcLimits(), grpc.ChainUnaryInterceptor(unary...), grpc.ChainStreamInterceptor(stream...))
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(grpccredentials.NewTLS(cfg.TLS)))
	}

	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for grpc: %w", err)
	}
	s := &GRPCServer{
		Server:   grpc.NewServer(options...),
		listener: listener,
		metrics:  metrics,
		health:   newHealthService(cfg.Health),
	}
	grpc_health_v1.RegisterHealthServer(s.Server, s.health)
	reflection.Register(s.Server)
	return s, nil
}

// grpcLimits are the limits that every server has.
func grpcLimits() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.MaxHeaderListSize(MaxMetadataBytes),
		grpc.MaxConcurrentStreams(MaxStreams),
		grpc.ConnectionTimeout(grpcHandshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: grpcPingInterval, PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: grpcMaxIdle, Time: grpcServerPing, Timeout: grpcServerPingWait,
		}),
	}
}

// Addr is the address in use.
func (s *GRPCServer) Addr() string { return s.listener.Addr().String() }

// Run answers until ctx ends. It then says "not serving" on the health service,
// takes no new calls, lets those under way finish for ten seconds, and cuts off
// the rest, such as watches that would never end.
func (s *GRPCServer) Run(ctx context.Context) error {
	s.metrics.InitializeMetrics(s.Server)
	s.health.know(s.Server.GetServiceInfo())
	failed := make(chan error, 1)
	go func() { failed <- s.Server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve grpc: %w", err)
	case <-ctx.Done():
	}
	s.health.shutdown()
	cut := time.AfterFunc(grpcDrainTimeout, s.Server.Stop)
	defer cut.Stop()
	s.Server.GracefulStop()
	if err := <-failed; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve grpc: %w", err)
	}
	return nil
}

// answerPanic logs a panic with its stack, and gives nothing of it to the client.
func answerPanic(ctx context.Context, p any) error {
	slog.ErrorContext(ctx, "panic in a grpc handler", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	method, _ := grpc.Method(ctx)
	return refusal.New(codes.Internal, refusal.Domain(method), refusal.ReasonInternal, "internal error")
}

// logCall carries the messages of the interceptor to slog; the levels are equal.
func logCall(ctx context.Context, level logging.Level, msg string, fields ...any) {
	slog.Log(ctx, slog.Level(level), msg, fields...) //nolint:sloglint // pairs, as the interceptor makes them
}
