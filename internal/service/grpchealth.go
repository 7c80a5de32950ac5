package service

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// watchInterval is how often a watcher of the health service looks again.
const watchInterval = time.Second

// healthService answers the standard gRPC health protocol from a Health. It knows
// the whole server, under the empty name, and each of its services under its full
// name; they are ready together, because they share what they need.
type healthService struct {
	grpc_health_v1.UnimplementedHealthServer

	health *Health
	names  []string // fixed before the server answers
	once   sync.Once
	over   chan struct{} // closed by shutdown
}

func newHealthService(health *Health) *healthService {
	return &healthService{health: health, over: make(chan struct{})}
}

// know takes the names of what is served. It is called once, before the first call.
func (h *healthService) know(services map[string]grpc.ServiceInfo) {
	h.names = append([]string{""}, slices.Sorted(maps.Keys(services))...)
}

func (h *healthService) knows(name string) bool { return slices.Contains(h.names, name) }

// shutdown ends all watches; they would keep the server from stopping.
func (h *healthService) shutdown() { h.once.Do(func() { close(h.over) }) }

func (h *healthService) status(ctx context.Context) grpc_health_v1.HealthCheckResponse_ServingStatus {
	select {
	case <-h.over:
		return grpc_health_v1.HealthCheckResponse_NOT_SERVING
	default:
	}
	if h.health.Ready(ctx) != nil {
		return grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return grpc_health_v1.HealthCheckResponse_SERVING
}

// Check implements the health protocol.
func (h *healthService) Check(
	ctx context.Context, request *grpc_health_v1.HealthCheckRequest,
) (*grpc_health_v1.HealthCheckResponse, error) {
	if !h.knows(request.GetService()) {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &grpc_health_v1.HealthCheckResponse{Status: h.status(ctx)}, nil
}

// List implements the health protocol.
func (h *healthService) List(
	ctx context.Context, _ *grpc_health_v1.HealthListRequest,
) (*grpc_health_v1.HealthListResponse, error) {
	now := h.status(ctx)
	all := map[string]*grpc_health_v1.HealthCheckResponse{}
	for _, name := range h.names {
		all[name] = &grpc_health_v1.HealthCheckResponse{Status: now}
	}
	return &grpc_health_v1.HealthListResponse{Statuses: all}, nil
}

// Watch implements the health protocol: it sends the status at once and whenever
// it has changed.
func (h *healthService) Watch(
	request *grpc_health_v1.HealthCheckRequest,
	stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse],
) error {
	ctx := stream.Context()
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	last := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		now := grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN
		if h.knows(request.GetService()) {
			now = h.status(ctx)
		}
		if now != last {
			if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-h.over:
			return status.Error(codes.Unavailable, ErrDraining.Error())
		case <-ticker.C:
		}
	}
}
