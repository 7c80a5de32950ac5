package connect

import (
	"context"
	"regexp"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/settings"
)

// wrapped is how gRPC tells that it could not connect: with the reason inside.
var wrapped = regexp.MustCompile(`^connection error: desc = "(?:transport: )?(?:Error while dialing: )?(.*)"$`)

// plainly tells in plain words that nobody is there.
func plainly(s settings.Settings) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return plain(s, invoke(ctx, method, req, reply, cc, opts...))
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			out, err := stream(ctx, desc, cc, method, opts...)
			if err != nil {
				return nil, plain(s, err)
			}
			return plainStream{out, s}, nil
		}),
	}
}

// plainStream is a stream whose connection may fail after it was opened.
type plainStream struct {
	grpc.ClientStream
	settings settings.Settings
}

// RecvMsg implements grpc.ClientStream.
func (p plainStream) RecvMsg(m any) error { return plain(p.settings, p.ClientStream.RecvMsg(m)) }

// plain takes the words of the protocol off an error of the connection, and adds what
// may be the matter. Other errors stay as they are.
func plain(s settings.Settings, err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok || st.Code() != codes.Unavailable {
		return err
	}
	m := wrapped.FindStringSubmatch(st.Message())
	if m == nil {
		return err
	}
	return status.Error(codes.Unavailable, m[1]+Hint(s))
}

// Hint says what may be the matter where nobody is there, empty where that is
// anybody's guess.
func Hint(s settings.Settings) string {
	if s.Source == settings.Local {
		return "; is `shipwarden dev` running? " + settings.Local + " is what it left"
	}
	return ""
}
