package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Look compares the stream with the mark and with what is kept in the folder, and moves the
// mark to the stream's end. The error wraps ErrStopped where the stream is not the one that was
// seen; any other says nothing.
func (w *Witness) Look(ctx context.Context) error {
	done, err := w.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	return w.look(ctx)
}

// turn waits until nobody else looks.
func (w *Witness) turn(ctx context.Context) (done func(), err error) {
	select {
	case w.looking <- struct{}{}:
		return func() { <-w.looking }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a look: %w", context.Cause(ctx))
	}
}

func (w *Witness) look(ctx context.Context) error {
	before := w.state.Load()
	now, err := w.next(ctx, before)
	for again := 0; err == nil && errors.Is(now.unkept, errChanged) && again < rounds; again++ {
		now, err = w.next(ctx, before) // What is kept now was not compared.
	}
	if err != nil {
		return err
	}
	w.state.Store(now)
	w.tell(ctx, now, before)
	return stoppedBy(now.why)
}

// next is the state that one look finds. An error says nothing.
func (w *Witness) next(ctx context.Context, before *state) (*state, error) {
	now := &state{mark: before.mark, looked: true, reconnects: w.reconnects(), unkept: before.unkept}
	var kept *Mark
	if w.file != nil {
		var err error
		if kept, now.why, err = w.file.read(); err != nil {
			return nil, err
		}
		if kept == nil && now.why == nil && errors.Is(before.why, ErrUnreadable) {
			now.why = before.why // That it is gone now tells nobody what was seen.
		}
	}
	if kept.replaced().After(now.mark.replaced()) {
		now.mark, now.unkept = kept, nil // What a person has decided since is what counts.
	}
	if now.why == nil {
		mark, why, err := compare(ctx, w.stream, w.now(), now.mark, kept)
		if err != nil {
			return nil, err
		}
		if mark != nil {
			carried := *mark
			carried.Replaced = now.mark.replaced()
			mark = &carried
		}
		now.mark, now.why = mark, why
		// Where the stream lacks it, it is kept for whoever begins or shares the folder.
		if why == nil || mark.beyond(kept) {
			now.unkept = w.keep(ctx, kept, mark)
		}
	}
	now.at = w.now()
	return now, nil
}

// keep writes a mark that has moved, or is not in the file any more, over the one that was
// compared. An error says why it could not: the mark is remembered then, and kept by a later
// look.
func (w *Witness) keep(ctx context.Context, compared, mark *Mark) error {
	if w.file == nil || mark == nil || mark.same(compared) {
		return nil
	}
	return w.file.advance(ctx, compared, mark)
}

// tell says what has changed.
func (w *Witness) tell(ctx context.Context, now, before *state) {
	for err, label := range reasons {
		w.stopped.WithLabelValues(label).Set(oneIf(errors.Is(now.why, err)))
	}
	w.unkept.Set(oneIf(now.unkept != nil))
	was, unkept := before != nil && before.why != nil, before != nil && before.unkept != nil
	switch {
	case now.why != nil && !was:
		slog.ErrorContext(ctx, "this executor does nothing until the record is the one that it has seen, or a person has replaced what it has seen (shipwarden-executor witness)", slog.Any("error", now.why))
	case now.why == nil && was:
		slog.WarnContext(ctx, "the record is the one that this executor has seen, or what it has seen was replaced: it goes on", slog.Uint64("sequence", now.mark.sequence()))
	}
	switch {
	case now.unkept != nil && (now.why == nil || !unkept):
		slog.WarnContext(ctx, "what this executor has seen of the record could not be kept: it is remembered until it ends", slog.Any("error", now.unkept))
	case unkept && now.unkept == nil:
		slog.InfoContext(ctx, "what this executor has seen of the record is kept again", slog.Uint64("sequence", now.mark.sequence()))
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
