package eventstore

import "errors"

// Errors of the store.
var (
	// ErrSequenceConflict says that somebody else wrote to the aggregate. Nothing
	// was stored; the caller loads, folds and decides again.
	ErrSequenceConflict = errors.New("somebody else wrote to the aggregate")
	// ErrUndecided says that the stream gave no usable answer in time. The events
	// are stored or not; the history will tell.
	ErrUndecided = errors.New("outcome of the append is unknown")
	// ErrRefused says that the stream refused the events for a reason that a
	// repetition does not cure, for instance because it is full. Nothing was stored.
	ErrRefused = errors.New("stream refuses the events")
	// ErrUnavailable says that the stream's leader did not answer in time.
	ErrUnavailable = errors.New("stream does not answer")
	// ErrDraft says that a draft can not be appended as it is.
	ErrDraft = errors.New("draft is not valid")
	// ErrReadOnly says that the store has no signer, or one that its keyring does
	// not trust.
	ErrReadOnly = errors.New("store can not write")
	// ErrTooLong says that the aggregate has more messages than MaxHistory.
	ErrTooLong = errors.New("history is too long")
	// ErrTopology says that a stream, durable or bucket exists with other settings
	// than the code demands.
	ErrTopology = errors.New("settings differ")
	// ErrNoEpoch says that the stream REL carries no epoch: it was not made by
	// Provision.
	ErrNoEpoch = errors.New("stream has no epoch")
)
