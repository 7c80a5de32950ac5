package eventstore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// setting is one setting whose value the code relies on.
type setting struct {
	name       string
	want, have any
}

func differences(settings []setting) error {
	var out []string
	for _, s := range settings {
		if !reflect.DeepEqual(s.want, s.have) {
			out = append(out, fmt.Sprintf("%s is %v, must be %v", s.name, s.have, s.want))
		}
	}
	if len(out) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrTopology, strings.Join(out, "; "))
}

// compareStreams looks at every setting that decides what can be lost, changed or
// misread. Quota, replicas and placement are not among them.
func compareStreams(want, have jetstream.StreamConfig) error {
	settings := []setting{
		{"subjects", sorted(want.Subjects), sorted(have.Subjects)},
		{"retention", want.Retention, have.Retention},
		{"storage", want.Storage, have.Storage},
		{"discard", want.Discard, have.Discard},
		{"discard_new_per_subject", want.DiscardNewPerSubject, have.DiscardNewPerSubject},
		{"max_age", want.MaxAge, have.MaxAge},
		{"max_msgs", want.MaxMsgs, have.MaxMsgs},
		{"max_msgs_per_subject", want.MaxMsgsPerSubject, have.MaxMsgsPerSubject},
		{"max_msg_size", want.MaxMsgSize, have.MaxMsgSize},
		{"duplicate_window", want.Duplicates, have.Duplicates},
		{"deny_delete", want.DenyDelete, have.DenyDelete},
		{"deny_purge", want.DenyPurge, have.DenyPurge},
		{"allow_rollup_hdrs", want.AllowRollup, have.AllowRollup},
		{"allow_msg_ttl", want.AllowMsgTTL, have.AllowMsgTTL},
		{"allow_msg_schedules", want.AllowMsgSchedules, have.AllowMsgSchedules},
		{"allow_msg_counter", want.AllowMsgCounter, have.AllowMsgCounter},
		{"allow_atomic", want.AllowAtomicPublish, have.AllowAtomicPublish},
		{"allow_batched", want.AllowBatchPublish, have.AllowBatchPublish},
		{"allow_direct", want.AllowDirect, have.AllowDirect},
		{"no_ack", want.NoAck, have.NoAck},
		{"sealed", want.Sealed, have.Sealed},
		{"persist_mode", want.PersistMode, have.PersistMode},
		{"mirrored", want.Mirror != nil, have.Mirror != nil},
		{"sources", len(want.Sources), len(have.Sources)},
		{"subject_transform", want.SubjectTransform != nil, have.SubjectTransform != nil},
		{"republish", want.RePublish != nil, have.RePublish != nil},
	}
	if want.Name == StreamEvents {
		settings = append(settings,
			setting{"metadata." + schemaKey, want.Metadata[schemaKey], have.Metadata[schemaKey]},
			setting{"metadata has " + epochKey, true, have.Metadata[epochKey] != ""},
		)
	}
	return differences(settings)
}

// compareDurables looks at the settings that decide whether a step sees every
// message until it says that it is done.
func compareDurables(want, have jetstream.ConsumerConfig) error {
	return differences([]setting{
		{"deliver_policy", want.DeliverPolicy, have.DeliverPolicy},
		{"ack_policy", want.AckPolicy, have.AckPolicy},
		{"max_deliver", want.MaxDeliver, have.MaxDeliver},
		{"backoff", len(want.BackOff), len(have.BackOff)},
		{"replay_policy", want.ReplayPolicy, have.ReplayPolicy},
		{"inactive_threshold", want.InactiveThreshold, have.InactiveThreshold},
		{"mem_storage", want.MemoryStorage, have.MemoryStorage},
		{"headers_only", want.HeadersOnly, have.HeadersOnly},
		{"priority_groups", len(want.PriorityGroups), len(have.PriorityGroups)},
		{"deliver_subject", want.DeliverSubject, have.DeliverSubject},
	})
}

func sorted(in []string) []string { return slices.Sorted(slices.Values(in)) }

func samePlacement(a, b *jetstream.Placement) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Cluster == b.Cluster && slices.Equal(sorted(a.Tags), sorted(b.Tags))
}
