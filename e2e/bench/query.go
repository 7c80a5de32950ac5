package bench

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// questions is how often each question is asked in a round: often enough that the 99th
// percentile is not the one answer that something else delayed. listed is the size of
// the page; there are so many in the environment with few on record as well, so that
// what is compared are pages of the same size.
const (
	questions = 1000
	listed    = 50
)

var errNothing = errors.New("nothing is on record")

// sampled is a release on record and when it was asked for.
type sampled struct {
	release   string
	requested time.Time
}

// sample are releases from all of the record, old ones and new ones.
func (d *driver) sample(ctx context.Context) ([]sampled, error) {
	conn, err := pgx.Connect(ctx, d.rig.DatabaseURL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, "select release, requested from "+pgx.Identifier{migrations.Schema, "releases"}.Sanitize()+" order by random() limit $1", questions)
	if err != nil {
		return nil, err
	}
	known, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s sampled, err error) {
		return s, row.Scan(&s.release, &s.requested)
	})
	if err == nil && len(known) == 0 {
		err = errNothing
	}
	return known, err
}

// query measures questions to the recorder, while nothing else happens.
func (d *driver) query(ctx context.Context, s *stage) error {
	c, err := d.rig.Recorder()
	if err != nil {
		return err
	}
	known, err := d.sample(ctx)
	if err != nil {
		return err
	}
	var get, list []time.Duration
	for i := range questions {
		one := known[i%len(known)]
		began := time.Now()
		if _, err := c.GetRelease(ctx, &recorderv1.GetReleaseRequest{Release: one.release}); err != nil {
			return err
		}
		get = append(get, time.Since(began))
		began = time.Now()
		if _, err := c.ListReleases(ctx, &recorderv1.ListReleasesRequest{PageSize: listed, Filter: &recorderv1.Filter{
			Environment: environment, RequestedBefore: timestamppb.New(one.requested), Outcomes: []releasev1.Outcome{releasev1.Outcome_OUTCOME_SUCCEEDED},
		}}); err != nil {
			return err
		}
		list = append(list, time.Since(began))
	}
	s.getRelease = append(s.getRelease, millis(quantile(get, .99)))
	s.listPage = append(s.listPage, millis(quantile(list, .99)))
	return nil
}
