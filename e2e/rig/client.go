package rig

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// token sends a bearer token over a loopback connection.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

func (token) RequireTransportSecurity() bool { return false }

func (r *Rig) dial(address, person string) (*grpc.ClientConn, error) {
	text, err := os.ReadFile(r.TokenFile(person))
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(token(strings.TrimSpace(string(text)))))
	if err != nil {
		return nil, err
	}
	r.undo(func() { _ = conn.Close() })
	return conn, nil
}

// As returns the approval service as a person calls it.
func (r *Rig) As(person string) (approvalv1.ApprovalServiceClient, error) {
	conn, err := r.dial(r.ApprovalURL, person)
	if err != nil {
		return nil, err
	}
	return approvalv1.NewApprovalServiceClient(conn), nil
}

// Recorder returns the recorder service as the auditor calls it.
func (r *Rig) Recorder() (recorderv1.RecorderServiceClient, error) {
	conn, err := r.dial(r.RecorderURL, Auditor)
	if err != nil {
		return nil, err
	}
	return recorderv1.NewRecorderServiceClient(conn), nil
}

// answerTime bounds how long an answer to a request is waited for.
const answerTime = 20 * time.Second

// Submit sends a request as CI does, and returns the answer.
func (r *Rig) Submit(ctx context.Context, request *releasev1.Request) (*releasev1.Answer, error) {
	body, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	subject := request.GetEnvironment() + "." + request.GetService()
	return r.Send(ctx, "request."+subject, "answer."+subject+"."+request.GetIdempotencyKey(), nats.Header{"Content-Type": []string{"application/json"}}, body)
}

// Send publishes bytes as CI, and returns what is answered on a subject.
func (r *Rig) Send(ctx context.Context, subject, answerOn string, header nats.Header, body []byte) (*releasev1.Answer, error) {
	conn, err := r.Connect(UserCI)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answers, err := conn.SubscribeSync(answerOn)
	if err != nil {
		return nil, err
	}
	if err := conn.FlushWithContext(ctx); err != nil {
		return nil, err
	}
	if err := conn.PublishMsg(&nats.Msg{Subject: subject, Header: header, Data: body}); err != nil {
		return nil, err
	}
	m, err := answers.NextMsgWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for an answer on %s: %w", answerOn, err)
	}
	answer := &releasev1.Answer{}
	return answer, protojson.Unmarshal(m.Data, answer)
}

// Until watches a release until something is so of it, and returns it as it was
// then. Every change that the recorder tells of is looked at.
func (r *Rig) Until(ctx context.Context, release string, so func(*recorderv1.Release) bool) (*recorderv1.Release, error) {
	recorder, err := r.Recorder()
	if err != nil {
		return nil, err
	}
	var last *recorderv1.Release
	for {
		stream, err := recorder.WatchRelease(ctx, &recorderv1.WatchReleaseRequest{Release: release}, grpc.WaitForReady(true))
		for err == nil {
			var m *recorderv1.WatchReleaseResponse
			if m, err = stream.Recv(); err == nil {
				if last = m.GetRelease(); so(last) {
					return last, nil
				}
			}
		}
		if ctx.Err() != nil {
			return last, fmt.Errorf("%s is in phase %s: %w", release, last.GetPhase(), ctx.Err())
		}
		if last.GetClosed() {
			return last, fmt.Errorf("%s is closed, and it is not so", release)
		}
		// The recorder does not know the release yet, or was restarted.
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}
