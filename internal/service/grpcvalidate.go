package service

import (
	"context"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/refusal"
)

// validateUnary refuses a request that breaks the rules of its schema before the
// handler sees it, in the form that every refusal has.
func validateUnary(ctx context.Context, request any, call *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := validate(call.FullMethod, request); err != nil {
		return nil, err
	}
	return next(ctx, request)
}

// validateStream is validateUnary for every message that a client streams.
func validateStream(server any, stream grpc.ServerStream, call *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(server, validatedStream{stream, call.FullMethod})
}

type validatedStream struct {
	grpc.ServerStream
	method string
}

// RecvMsg reads a message and refuses it if it breaks the rules of its schema.
func (s validatedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return validate(s.method, m)
}

func validate(method string, m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return nil // Whatever is served here is described by protobuf.
	}
	if err := protovalidate.Validate(message); err != nil {
		return refusal.Invalid(refusal.Domain(method), err)
	}
	return nil
}
