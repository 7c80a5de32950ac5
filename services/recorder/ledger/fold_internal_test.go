package ledger

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestOnlyWhatFollowsTheNewestEventChangesAStanding(t *testing.T) {
	now := time.Now()
	newest := head{seq: 7, digest: [32]byte{1}}
	of := func(seq uint64, digest [32]byte) *releasev1.Previous {
		return &releasev1.Previous{Sequence: seq, Sha256: digest[:]}
	}
	for _, test := range []struct {
		name     string
		head     head
		previous *releasev1.Previous
		age      time.Duration
		want     error
	}{
		{"the first of all", head{}, nil, 0, nil},
		{"the next", newest, of(7, newest.digest), 0, nil},
		{"a copy of the first", newest, nil, 0, procedure.ErrNotHead},
		{"a copy of an old one", newest, of(3, [32]byte{2}), 0, procedure.ErrNotHead},
		{"of another stream's life", newest, of(7, [32]byte{2}), 0, procedure.ErrNotHead},
		{"from long ago", newest, of(7, newest.digest), time.Hour, procedure.ErrClockSkew},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := procedure.Entry{Sequence: 9, Stored: now, Event: &releasev1.Event{
				Previous: test.previous, Time: timestamppb.New(now.Add(-test.age)),
			}}
			if err := test.head.admits(e); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
