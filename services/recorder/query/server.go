// Package query answers questions about the record over gRPC: the
// shipwarden.recorder.v1.RecorderService (PD-8.3). It reads, with the rights of a
// role that can do nothing else.
package query

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

const (
	defaultPage = 50
	maxPage     = 500
	// maxPageBytes bounds a page, which ends early where releases or events are large.
	maxPageBytes = 512 << 10
	// maxWait is how long min_sequence waits where the client set no deadline.
	maxWait = 30 * time.Second
)

// Server answers. Its methods may be called concurrently.
type Server struct {
	recorderv1.UnimplementedRecorderServiceServer

	reader *ledger.Reader
	tail   *ledger.Tail
	// stream returns the newest sequence that is known of the stream.
	stream   func() uint64
	evidence Evidence
	now      func() time.Time
}

// Evidence gives stored evidence by its digest; *evidence.Store does.
type Evidence interface {
	Get(ctx context.Context, digest string) ([]byte, error)
}

// WithEvidence lets the server give evidence out; without it, it has none. It is
// called before the server is used, and returns it.
func (s *Server) WithEvidence(e Evidence) *Server {
	s.evidence = e
	return s
}

// New returns a server over the record; stream returns the newest sequence that is
// known of the stream, and now the time.
func New(reader *ledger.Reader, tail *ledger.Tail, stream func() uint64, now func() time.Time) *Server {
	return &Server{reader: reader, tail: tail, stream: stream, now: now}
}

// GetRelease returns one release, with as many of its events as one answer holds.
func (s *Server) GetRelease(ctx context.Context, q *recorderv1.GetReleaseRequest) (*recorderv1.GetReleaseResponse, error) {
	if err := s.wait(ctx, q.GetMinSequence()); err != nil {
		return nil, toStatus(ctx, err)
	}
	release, events, asOf, err := s.reader.Release(ctx, q.GetRelease(), q.GetEvents(), q.GetSealed())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	view.AsOf(release, s.now())
	out := &recorderv1.GetReleaseResponse{Release: release, AsOfSequence: asOf}
	if q.GetEvents() && release.GetWayBackOf() == "" {
		out.Incident = view.IncidentOf(q.GetRelease(), events)
	}
	size := 0
	for _, e := range events {
		if e.Entry.Sequence <= q.GetEventsAfter() {
			continue
		}
		event := e.Proto()
		if size += proto.Size(event); size > maxPageBytes && len(out.GetEvents()) > 0 {
			out.MoreEvents = true
			break
		}
		out.Events = append(out.Events, event)
	}
	return out, nil
}

// ListReleases returns releases, newest first.
func (s *Server) ListReleases(ctx context.Context, q *recorderv1.ListReleasesRequest) (*recorderv1.ListReleasesResponse, error) {
	question, err := questionOf("releases", q.GetFilter())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	f := q.GetFilter()
	for _, t := range []*timestamppb.Timestamp{f.GetRequestedAfter(), f.GetRequestedBefore(), f.GetEndedAfter(), f.GetEndedBefore()} {
		if t != nil && t.CheckValid() != nil {
			return nil, toStatus(ctx, errFilterTime)
		}
	}
	var behind *ledger.Position
	if q.GetPageToken() != "" {
		t, err := decode(q.GetPageToken(), question)
		if err == nil {
			behind, err = t.position()
		}
		if err != nil {
			return nil, toStatus(ctx, err)
		}
	}
	if err := s.wait(ctx, q.GetMinSequence()); err != nil {
		return nil, toStatus(ctx, err)
	}
	limit := pageSize(q.GetPageSize())
	// One more than wanted tells whether there is a next page.
	found, asOf, err := s.reader.List(ctx, f, behind, limit+1)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	out := &recorderv1.ListReleasesResponse{AsOfSequence: asOf}
	size := 0
	for i, f := range found {
		view.AsOf(f.Release, s.now())
		size += proto.Size(f.Release)
		if i == limit || i > 0 && size > maxPageBytes {
			last := found[i-1].Position
			out.NextPageToken = token{Question: question, Requested: last.Requested.UnixMicro(), Release: last.Release}.encode()
			break
		}
		out.Releases = append(out.Releases, f.Release)
	}
	return out, nil
}

// ListRefusals returns refused requests, newest first.
func (s *Server) ListRefusals(ctx context.Context, q *recorderv1.ListRefusalsRequest) (*recorderv1.ListRefusalsResponse, error) {
	question, err := questionOf("refusals", nil)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	var before uint64
	if q.GetPageToken() != "" {
		t, err := decode(q.GetPageToken(), question)
		if err == nil {
			before, err = t.before()
		}
		if err != nil {
			return nil, toStatus(ctx, err)
		}
	}
	limit := pageSize(q.GetPageSize())
	found, asOf, err := s.reader.Refusals(ctx, before, limit+1)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	out := &recorderv1.ListRefusalsResponse{AsOfSequence: asOf}
	size := 0
	for i, f := range found {
		size += proto.Size(f)
		if i == limit || i > 0 && size > maxPageBytes {
			out.NextPageToken = token{Question: question, Sequence: found[i-1].GetSequence()}.encode()
			break
		}
		out.Refusals = append(out.Refusals, f)
	}
	return out, nil
}

// GetRecord returns the deployment record as a document.
func (s *Server) GetRecord(ctx context.Context, q *recorderv1.GetRecordRequest) (*recorderv1.GetRecordResponse, error) {
	if err := s.wait(ctx, q.GetMinSequence()); err != nil {
		return nil, toStatus(ctx, err)
	}
	if of, number, ok := procedure.RollbackOf(q.GetRelease()); ok {
		out, err := s.rollbackRecord(ctx, of, number, q.GetFormat())
		return out, toStatus(ctx, err)
	}
	all, asOf, err := s.reader.Events(ctx, q.GetRelease(), 0)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	if t, _ := view.OfRecorded(q.GetRelease(), all); t.State().Phase == procedure.PhaseNone {
		return nil, toStatus(ctx, ledger.ErrNotFound)
	}
	record := document.Build(q.GetRelease(), all)
	known := &recorderv1.Release{Release: q.GetRelease(), ProcedureDigest: record.ProcedureDigest}
	if err := s.reader.Complete(ctx, known); err != nil {
		return nil, toStatus(ctx, err)
	}
	record.Given(known.GetProcedureVersion(), known.GetTakenBackBy()...)
	if digest := record.Quarantined(); digest != "" {
		known, _, err := s.reader.Quarantines(ctx, digest, true, 0, 1)
		if err != nil {
			return nil, toStatus(ctx, err)
		}
		if len(known) > 0 {
			record.Stands(known[0])
		}
	}
	out := &recorderv1.GetRecordResponse{AsOfSequence: asOf}
	if q.GetFormat() == recorderv1.GetRecordRequest_FORMAT_MARKDOWN {
		out.Document, out.MediaType = record.Markdown(), "text/markdown; charset=utf-8"
	} else {
		out.MediaType = "application/json"
		if out.Document, err = record.JSON(); err != nil {
			return nil, toStatus(ctx, err)
		}
	}
	sum := sha256.Sum256(out.GetDocument())
	out.Digest = "sha256:" + hex.EncodeToString(sum[:])
	return out, nil
}

// rollbackRecord is the record of a way back, whose bytes are those of which the event
// `recorded` of the release has the digest.
func (s *Server) rollbackRecord(ctx context.Context, release string, number uint32, format recorderv1.GetRecordRequest_Format) (*recorderv1.GetRecordResponse, error) {
	all, asOf, err := s.reader.Events(ctx, release, 0)
	if err != nil {
		return nil, err
	}
	record, ok := document.BuildRollback(release, all, number)
	if !ok {
		return nil, ledger.ErrNotFound
	}
	out := &recorderv1.GetRecordResponse{AsOfSequence: asOf}
	if format == recorderv1.GetRecordRequest_FORMAT_MARKDOWN {
		out.Document, out.MediaType = record.Markdown(), "text/markdown; charset=utf-8"
	} else {
		out.MediaType = "application/json"
		if out.Document, err = record.JSON(); err != nil {
			return nil, err
		}
	}
	sum := sha256.Sum256(out.GetDocument())
	out.Digest = "sha256:" + hex.EncodeToString(sum[:])
	return out, nil
}

// GetStatus returns how far the recorder has come.
func (s *Server) GetStatus(ctx context.Context, _ *recorderv1.GetStatusRequest) (*recorderv1.GetStatusResponse, error) {
	out, err := s.reader.Status(ctx)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	out.StreamSequence = max(s.stream(), out.GetAsOfSequence())
	return out, nil
}

// wait returns when the record has come to the sequence.
func (s *Server) wait(ctx context.Context, sequence uint64) error {
	if sequence == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	err := s.tail.Wait(ctx, sequence)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", errNotYet, err)
	}
	return err
}

func pageSize(wanted int32) int {
	if wanted <= 0 {
		return defaultPage
	}
	return min(int(wanted), maxPage)
}
