package query_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natstest"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/query"
)

// Evidence comes back whole, also where it is larger than one message may be, and
// what is not there is said to be not there.
func TestEvidenceIsGivenOutByItsDigest(t *testing.T) {
	nats := natstest.Single(t)
	eventstoretest.Provision(t, nats)
	store := evidence.New(nats.JetStream())
	content := bytes.Repeat([]byte("sample "), 400<<10)
	ref, err := store.Put(t.Context(), "text/plain", "samples", content)
	if err != nil {
		t.Fatal(err)
	}
	client := evidenceServer(t, query.New(nil, nil, nil, nil).WithEvidence(store))

	if got, err := readEvidence(t.Context(), client, ref.GetDigest()); err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(content))
	}
	_, err = readEvidence(t.Context(), client, evidence.Digest([]byte("something else")))
	if status.Code(err) != codes.NotFound {
		t.Errorf("evidence that is not there: %v", err)
	}
	_, err = readEvidence(t.Context(), evidenceServer(t, query.New(nil, nil, nil, nil)), ref.GetDigest())
	if status.Code(err) != codes.NotFound {
		t.Errorf("a server without evidence: %v", err)
	}
}

func evidenceServer(t *testing.T, s *query.Server) recorderv1.RecorderServiceClient {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	recorderv1.RegisterRecorderServiceServer(server, s)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return recorderv1.NewRecorderServiceClient(conn)
}

func readEvidence(ctx context.Context, client recorderv1.RecorderServiceClient, digest string) ([]byte, error) {
	stream, err := client.GetEvidence(ctx, &recorderv1.GetEvidenceRequest{Digest: digest})
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, m.GetContent()...)
	}
}
