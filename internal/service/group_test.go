package service_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blackdice/shipwarden/internal/service"
)

// journal notes what happened in which order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

// untilTold is a part that works until its context ends, then for a while more.
func (j *journal) untilTold(name string, more time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(more) //nolint:forbidigo // synctest's clock
		j.note(name)
		return ctx.Err()
	}
}

func TestPartsStopInTheOppositeOrderAfterReadinessIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen journal
		health := &service.Health{}
		group := service.NewGroup(health, time.Minute)
		group.Add("http", seen.untilTold("http", 0))
		group.Add("nats", seen.untilTold("nats", 5*time.Second))
		group.Add("steps", func(ctx context.Context) error {
			<-ctx.Done()
			if health.Ready(context.Background()) == nil {
				seen.note("ready while draining")
			}
			time.Sleep(10 * time.Second) //nolint:forbidigo // synctest's clock
			seen.note("steps")
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		if err := group.Run(ctx); err != nil {
			t.Errorf("Run returns %v", err)
		}
		if want := []string{"steps", "nats", "http"}; !slices.Equal(seen.lines, want) {
			t.Errorf("stopped %v, want %v", seen.lines, want)
		}
	})
}

func TestAFailingPartStopsTheOthersAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen journal
		failure := errors.New("no more paper")
		group := service.NewGroup(nil, time.Minute)
		group.Add("nats", seen.untilTold("nats", 0))
		group.Add("printer", func(context.Context) error { return failure })
		group.Add("steps", seen.untilTold("steps", 0))
		err := group.Run(t.Context())
		if !errors.Is(err, failure) || !strings.Contains(err.Error(), "printer") {
			t.Errorf("got %v, want the printer's error", err)
		}
		if want := []string{"steps", "nats"}; !slices.Equal(seen.lines, want) {
			t.Errorf("stopped %v, want %v", seen.lines, want)
		}
	})
}

func TestAPartThatJustEndsIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := service.NewGroup(nil, 0)
		group.Add("short", func(context.Context) error { return nil })
		if err := group.Run(t.Context()); !errors.Is(err, service.ErrEnded) || !strings.Contains(err.Error(), "short") {
			t.Errorf("got %v, want ErrEnded naming it", err)
		}
	})
}

func TestAPartThatHangsIsNamedAtTheDeadlineAndTheOthersStillStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen journal
		release := make(chan struct{})
		group := service.NewGroup(nil, 20*time.Second)
		group.Add("http", seen.untilTold("http", time.Second))
		group.Add("hung", func(context.Context) error { <-release; return nil })
		group.Add("steps", seen.untilTold("steps", time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		start := time.Now()
		err := group.Run(ctx)
		if !errors.Is(err, service.ErrDrain) || !strings.Contains(err.Error(), "[hung]") {
			t.Errorf("got %v, want ErrDrain naming only the hung part", err)
		}
		if took := time.Since(start); took > 23*time.Second {
			t.Errorf("the way out took %s", took)
		}
		if want := []string{"steps", "http"}; !slices.Equal(seen.lines, want) {
			t.Errorf("stopped %v, want %v", seen.lines, want)
		}
		close(release)
	})
}

// Whoever reads the log sees when the service could work, once.
func TestAServiceSaysOnceThatItIsReady(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(before)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		health := &service.Health{}
		health.Add("database", func(context.Context) error {
			if time.Since(began) < 10*time.Second {
				return service.ErrNoConnection
			}
			return nil
		})
		group := service.NewGroup(health, time.Minute)
		group.Add("http", func(ctx context.Context) error { <-ctx.Done(); return nil })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		if err := group.Run(ctx); err != nil {
			t.Error(err)
		}
		if strings.Count(out.String(), "msg=ready") != 1 || !strings.Contains(out.String(), began.Add(10*time.Second).Format("15:04:05")) {
			t.Errorf("it says %s", out.String())
		}
	})
}
