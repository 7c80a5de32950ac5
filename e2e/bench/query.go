package bench

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/migrations"
)

// questions is how often each question is asked in a round, and listed the size of
// the page.
const (
	questions = 200
	listed    = 50
)

var errNothing = errors.New("nothing is on record")

// sample are releases from all of the record, old ones and new ones.
func (d *driver) sample(ctx context.Context) ([]string, error) {
	conn, err := pgx.Connect(ctx, d.rig.DatabaseURL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, "select release from "+pgx.Identifier{migrations.Schema, "releases"}.Sanitize()+" order by random() limit $1", questions)
	if err != nil {
		return nil, err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[string])
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
		began := time.Now()
		if _, err := c.GetRelease(ctx, &recorderv1.GetReleaseRequest{Release: known[i%len(known)]}); err != nil {
			return err
		}
		get = append(get, time.Since(began))
		began = time.Now()
		if _, err := c.ListReleases(ctx, &recorderv1.ListReleasesRequest{PageSize: listed, Filter: &recorderv1.Filter{
			Service: d.world.places[i%len(d.world.places)].service, Outcomes: []releasev1.Outcome{releasev1.Outcome_OUTCOME_SUCCEEDED},
		}}); err != nil {
			return err
		}
		list = append(list, time.Since(began))
	}
	s.getRelease = append(s.getRelease, millis(quantile(get, .99)))
	s.listPage = append(s.listPage, millis(quantile(list, .99)))
	return nil
}
