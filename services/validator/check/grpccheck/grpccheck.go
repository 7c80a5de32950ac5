// Package grpccheck asks a target by the protocol grpc.health.v1 whether a service is healthy.
//
// Where it asks, and whether with TLS, stands in the validator's configuration. The
// connection is made by package target, to the addresses that were judged; gRPC gets that
// one connection and can make no other: no resolver, no proxy, no service config, no retry.
package grpccheck

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Bounds of an answer, in bytes. An honest one has 2.
const (
	maxAnswer = 1 << 10
	maxHeader = 16 << 10
)

// errOnce is what gRPC gets where it wants a second connection.
var errOnce = errors.New("one look is one connection")

// Prober takes the samples of gRPC checks (PD-6.1). It is safe for concurrent use.
type Prober struct{}

var _ check.Prober = Prober{}

// Probe asks once. Any state but SERVING, a server that does not know the service or the
// protocol, a certificate that is not accepted, a connection that is refused or cut, and
// silence until the timeout are failures; that the target could not be asked, because it is
// not known where it is, or because it lets us in no further, is an error.
func (Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	conn, err := t.DialGRPC(ctx)
	switch {
	case errors.Is(err, target.ErrNoAnswer):
		return check.Observation{Outcome: check.Failed, Detail: err.Error()}
	case err != nil:
		return check.Observation{Outcome: check.Error, Detail: err.Error()}
	}
	defer func() { _ = conn.Close() }()
	client, err := newClient(conn, t.GRPCAddress())
	if err != nil {
		return check.Observation{Outcome: check.Error, Detail: "no client of gRPC can be made"}
	}
	defer func() { _ = client.Close() }()
	answer, err := healthv1.NewHealthClient(client).Check(ctx, &healthv1.HealthCheckRequest{Service: c.GetGrpc().GetService()})
	if err != nil {
		return explain(err)
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return check.Observation{Outcome: check.Failed, Detail: answer.GetStatus().String() + ", expected SERVING"}
	}
	return check.Observation{Outcome: check.Passed, Detail: "SERVING"}
}

// newClient returns a client that has this connection and no other. It is secured already
// where it is to be.
func newClient(conn net.Conn, authority string) (*grpc.ClientConn, error) {
	var taken atomic.Bool
	return grpc.NewClient("passthrough:///"+authority,
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if taken.Swap(true) {
				return nil, errOnce
			}
			return conn, nil
		}),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority(authority),
		grpc.WithUserAgent("shipwarden-validator"),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithMaxHeaderListSize(maxHeader),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	)
}

// explain says what a status means, by its code alone: the rest of it is the server's words.
func explain(err error) check.Observation {
	code := status.Code(err)
	seen := check.Observation{Outcome: check.Failed, Detail: "the server answers " + code.String()}
	switch code {
	case codes.DeadlineExceeded:
		seen.Detail = "no answer from the target: deadline exceeded"
	case codes.Unavailable:
		seen.Detail = "no answer from the target: the connection was cut, or does not speak HTTP/2"
	case codes.NotFound:
		seen.Detail = "the server does not know the service"
	case codes.Unimplemented:
		seen.Detail = "the server does not speak grpc.health.v1"
	case codes.Canceled, codes.ResourceExhausted, codes.Unauthenticated, codes.PermissionDenied:
		// Nothing of it is about the service's health.
		seen.Outcome = check.Error
	default:
	}
	return seen
}
