package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
)

// errNoMessage says that the stream holds no message that was asked for.
var errNoMessage = errors.New("no message")

// stored is a message as the stream holds it.
type stored struct {
	subject  string
	sequence uint64
	header   nats.Header
	data     []byte
	time     time.Time
	// condition is empty for a message that was delivered: its header block is gone.
	condition condition
}

// getRequest and getResponse are the wire form of $JS.API.STREAM.MSG.GET, which
// the leader answers. The client library's own call is not used, because it gives
// the message up whose headers it can not read; whoever may write such a message
// could then hide all that follows it.
type getRequest struct {
	Seq  uint64 `json:"seq,omitempty"`
	Next string `json:"next_by_subj,omitempty"`
	Last string `json:"last_by_subj,omitempty"`
}

type getResponse struct {
	Error   *jetstream.APIError `json:"error,omitempty"`
	Message *struct {
		Subject string    `json:"subject"`
		Seq     uint64    `json:"seq"`
		Header  []byte    `json:"hdrs,omitempty"`
		Data    []byte    `json:"data,omitempty"`
		Time    time.Time `json:"time"`
	} `json:"message,omitempty"`
}

// next reads the first message at or after seq that the filter matches, last the last
// one, and at the one with the sequence. They return errNoMessage where there is none.
func (s *Store) next(ctx context.Context, filter string, seq uint64) (stored, error) {
	return s.get(ctx, getRequest{Seq: max(seq, 1), Next: filter})
}

func (s *Store) last(ctx context.Context, filter string) (stored, error) {
	return s.get(ctx, getRequest{Last: filter})
}

func (s *Store) at(ctx context.Context, seq uint64) (stored, error) {
	return s.get(ctx, getRequest{Seq: seq})
}

func (s *Store) get(ctx context.Context, request getRequest) (stored, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return stored{}, fmt.Errorf("read stream %s: %w", StreamEvents, err)
	}
	return retried(ctx, func(ctx context.Context) (stored, error) {
		answer, err := s.conn.RequestWithContext(ctx, s.getSubject, body)
		if err != nil {
			return stored{}, fmt.Errorf("read stream %s: %w", StreamEvents, err)
		}
		return decode(answer.Data)
	})
}

// infoRequest and infoResponse are the parts that are needed of the wire form of
// $JS.API.STREAM.INFO, with which the server counts the messages under a filter.
type infoRequest struct {
	Filter string `json:"subjects_filter"`
}

type infoResponse struct {
	Error *jetstream.APIError `json:"error,omitempty"`
	State struct {
		Subjects map[string]int `json:"subjects"`
	} `json:"state"`
}

// count returns how many messages of the aggregate the stream holds.
func (s *Store) count(ctx context.Context, aggregate string) (int, error) {
	subjects, err := s.subjects(ctx, Filter(aggregate))
	n := 0
	for _, messages := range subjects {
		n += messages
	}
	return n, err
}

// Procedures returns the ids of all procedure documents that ever were in effect, in
// alphabetical order and as they stand in subjects.
func (s *Store) Procedures(ctx context.Context) ([]string, error) {
	subjects, err := s.subjects(ctx, Filter(procedure.ProcedureAggregate("*")))
	var ids []string
	for subject := range subjects {
		// Beside the documents lie the delegations under them, and which there are.
		if id := strings.Split(subject, ".")[1]; !strings.HasPrefix(id, procedure.BesidePrefix) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// NewestRequest returns the newest request of a release, of whichever, and whether there is
// one. One that does not count as it stands is none.
func (s *Store) NewestRequest(ctx context.Context) (procedure.Entry, bool, error) {
	m, err := s.last(ctx, procedure.Aggregate("*")+"."+procedure.ServiceApproval+".requested")
	if errors.Is(err, errNoMessage) {
		return procedure.Entry{}, false, nil
	}
	if err != nil {
		return procedure.Entry{}, false, fmt.Errorf("read the newest request: %w", err)
	}
	entry, err := s.open(m)
	if err != nil {
		slog.WarnContext(ctx, "the newest request does not count", slog.Uint64("sequence", m.sequence), slog.Any("error", err))
		return procedure.Entry{}, false, nil
	}
	return entry, true, nil
}

// Catalogs returns every service that ever had a release in an environment, as
// "environment--service", in alphabetical order. Service names hold no dot.
func (s *Store) Catalogs(ctx context.Context) ([]string, error) {
	subjects, err := s.subjects(ctx, "svc.>")
	var names []string
	for subject := range subjects {
		if name := strings.Split(subject, ".")[1]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// subjects returns how many messages the stream holds under each subject of a filter.
func (s *Store) subjects(ctx context.Context, filter string) (map[string]int, error) {
	body, err := json.Marshal(infoRequest{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("read stream %s: %w", StreamEvents, err)
	}
	return retried(ctx, func(ctx context.Context) (map[string]int, error) {
		answer, err := s.conn.RequestWithContext(ctx, s.infoSubject, body)
		if err != nil {
			return nil, fmt.Errorf("read stream %s: %w", StreamEvents, err)
		}
		var r infoResponse
		if err := json.Unmarshal(answer.Data, &r); err != nil {
			return nil, fmt.Errorf("read stream %s: answer: %w", StreamEvents, err)
		}
		if r.Error != nil {
			return nil, fmt.Errorf("read stream %s: %w", StreamEvents, r.Error)
		}
		return r.State.Subjects, nil
	})
}

func decode(answer []byte) (stored, error) {
	var r getResponse
	if err := json.Unmarshal(answer, &r); err != nil {
		return stored{}, fmt.Errorf("read stream %s: answer: %w", StreamEvents, err)
	}
	switch {
	case r.Error != nil && r.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return stored{}, errNoMessage
	case r.Error != nil:
		return stored{}, fmt.Errorf("read stream %s: %w", StreamEvents, r.Error)
	case r.Message == nil:
		return stored{}, fmt.Errorf("read stream %s: empty answer: %w", StreamEvents, nats.ErrTimeout)
	}
	m := stored{subject: r.Message.Subject, sequence: r.Message.Seq, data: r.Message.Data, time: r.Message.Time}
	if len(r.Message.Header) > 0 {
		m.condition = conditionOf(r.Message.Header)
		// Headers that can not be read leave the message without a signature.
		if header, err := nats.DecodeHeadersMsg(r.Message.Header); err == nil {
			m.header = header
		}
	}
	return m, nil
}

// verify looks at the message's signature and all the rest.
func (s *Store) verify(m stored) (procedure.Entry, error) {
	entry, _, err := envelope.Open(s.ring, m.subject, m.header, m.data, m.sequence, m.time)
	return entry, err
}
