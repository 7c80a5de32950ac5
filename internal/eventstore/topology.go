package eventstore

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Names of streams and buckets. They are contract: outside tools know them.
const (
	// StreamEvents is the record: every event of every release.
	StreamEvents = "REL"
	// StreamRequests holds what CI publishes, for intake and for audit.
	StreamRequests = "REQUESTS"
	// StreamAnswers holds the answers to requests.
	StreamAnswers = "ANSWERS"
	// StreamTimers holds schedules and what they fired. Nothing on it carries
	// authority: the server publishes there in anybody's name.
	StreamTimers = "TIMERS"
	// StreamParked holds notes on messages that a step could not work on.
	StreamParked = "PARKED"
	// BucketEvidence is the object store of evidence, by content.
	BucketEvidence = "EVIDENCE"
	// BucketDeadlines is the key-value bucket of the next deadline by release.
	BucketDeadlines = "DEADLINES"
	// BucketNotices is the key-value bucket of notices that are being sent.
	BucketNotices = "NOTICES"
)

const (
	// Schema is the version of the events' schema, kept in the metadata of REL.
	Schema = "v1"
	// MaxMessageSize bounds a message with its headers, in bytes.
	MaxMessageSize = 64 << 10
	// DefaultQuota bounds the stream REL, in bytes, where nothing is configured.
	// A stream that is full refuses events: no step then goes on.
	DefaultQuota = 4 << 30

	// epochKey and schemaKey stand in the metadata of REL.
	epochKey  = "epoch"
	schemaKey = "schema"

	// duplicateWindow is how long the server recognizes a message id. It is a
	// convenience only: a second event with a known id does not count anyway.
	duplicateWindow = 10 * time.Minute
	day             = 24 * time.Hour
)

// Topology is everything that must exist on the bus before a service starts.
type Topology struct {
	// Streams by name; the epoch of REL is added when it is made.
	Streams []jetstream.StreamConfig
	// Durables are the consumers of the steps.
	Durables []Durable
	// Objects and Values are the buckets.
	Objects []jetstream.ObjectStoreConfig
	Values  []jetstream.KeyValueConfig
}

// NewTopology returns what the code demands. Replicas are those of every stream, 1
// or 3; the quota is that of REL in bytes, 0 for DefaultQuota, and the other
// streams get shares of it. With more than one replica the streams demand servers
// that sync every write, which carry the tag sync:always.
func NewTopology(replicas int, quota int64) Topology {
	replicas = max(replicas, 1)
	if quota <= 0 {
		quota = DefaultQuota
	}
	t := Topology{
		Streams: []jetstream.StreamConfig{
			events(quota), requests(quota / 4), answers(quota / 16), timers(quota / 16), parked(quota / 16),
		},
		Durables: durables(),
		Objects: []jetstream.ObjectStoreConfig{{
			Bucket: BucketEvidence, Description: "Evidence by its SHA-256.",
			MaxBytes: quota, Storage: jetstream.FileStorage,
		}},
		Values: []jetstream.KeyValueConfig{{
			Bucket: BucketDeadlines, Description: "The next deadline of every open release.",
			History: 1, MaxBytes: quota / 16, Storage: jetstream.FileStorage,
		}, {
			Bucket: BucketNotices, Description: "Notices that were begun to be sent.",
			History: 1, TTL: 30 * day, MaxBytes: quota / 16, Storage: jetstream.FileStorage,
		}},
	}
	var placement *jetstream.Placement
	if replicas > 1 {
		placement = &jetstream.Placement{Tags: []string{"sync:always"}}
	}
	for i := range t.Streams {
		t.Streams[i].Replicas, t.Streams[i].Placement = replicas, placement
	}
	for i := range t.Objects {
		t.Objects[i].Replicas, t.Objects[i].Placement = replicas, placement
	}
	for i := range t.Values {
		t.Values[i].Replicas, t.Values[i].Placement = replicas, placement
	}
	return t
}

// Anywhere returns the topology without a demand on where streams are placed, for
// servers that do not sync every write. A power cut may then take back what was
// acknowledged.
func (t Topology) Anywhere() Topology {
	out := Topology{Durables: t.Durables}
	for _, s := range t.Streams {
		s.Placement = nil
		out.Streams = append(out.Streams, s)
	}
	for _, o := range t.Objects {
		o.Placement = nil
		out.Objects = append(out.Objects, o)
	}
	for _, v := range t.Values {
		v.Placement = nil
		out.Values = append(out.Values, v)
	}
	return out
}

// WithAckWait returns the topology with durables that deliver again after that
// time without a sign of life.
func (t Topology) WithAckWait(wait time.Duration) Topology {
	out := t
	out.Durables = make([]Durable, len(t.Durables))
	for i, d := range t.Durables {
		d.Config.AckWait = wait
		out.Durables[i] = d
	}
	return out
}

// base is what all streams share: nothing is ever taken out by hand.
func base(name, description string, quota int64, subjects ...string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Description: description, Subjects: subjects,
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxConsumers: -1, MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxBytes: quota, MaxMsgSize: MaxMessageSize,
		Duplicates: duplicateWindow, DenyDelete: true, DenyPurge: true,
	}
}

// events is the record. It never drops a message: when it is full it refuses.
// Direct reads are off because followers would serve them, and they may lag.
func events(quota int64) jetstream.StreamConfig {
	cfg := base(StreamEvents, "Every event of every release.", quota, "rel.>", "tgt.>", "svc.>", "pol.>", "req.>", "art.>")
	cfg.AllowAtomicPublish = true
	cfg.Metadata = map[string]string{schemaKey: Schema}
	return cfg
}

// requests stay a month for audit, whether they were answered or not.
func requests(quota int64) jetstream.StreamConfig {
	cfg := base(StreamRequests, "Requests for releases, as CI published them.", quota, "request.>")
	cfg.MaxAge = 30 * day
	return cfg
}

// answers keep the last few answers to one request, for a week.
func answers(quota int64) jetstream.StreamConfig {
	cfg := base(StreamAnswers, "Answers to requests.", quota, "answer.>")
	cfg.MaxAge = 7 * day
	cfg.MaxMsgsPerSubject = 4
	cfg.Discard = jetstream.DiscardOld
	return cfg
}

// timers can not be protected as the record is: schedules need rollups, purges and
// expiry of single messages.
func timers(quota int64) jetstream.StreamConfig {
	cfg := base(StreamTimers, "Timers, set and fired. A hint, never an authority.", quota, "timer.>")
	cfg.AllowMsgSchedules, cfg.AllowMsgTTL, cfg.AllowRollup = true, true, true
	cfg.DenyDelete, cfg.DenyPurge = false, false
	cfg.Discard = jetstream.DiscardOld
	return cfg
}

// parked takes one note by subject, so that a note is written once.
func parked(quota int64) jetstream.StreamConfig {
	cfg := base(StreamParked, "Notes on messages that no step could work on.", quota, "park.>")
	cfg.MaxMsgsPerSubject = 1
	cfg.DiscardNewPerSubject = true
	return cfg
}
