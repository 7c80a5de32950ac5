package chaos

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// What is on record of a target must be there, in its own state, once nobody has it any more.
func TestATargetThatLacksWhatIsOnRecordIsLost(t *testing.T) {
	locked := procedure.Entry{Sequence: 5, Digest: [32]byte{5}, Event: &releasev1.Event{
		Data: &releasev1.Event_TargetLocked{TargetLocked: &releasev1.TargetLocked{Release: "r"}},
	}}
	unlocked := func(after procedure.Entry, digest, unknown string) procedure.Entry {
		return procedure.Entry{Sequence: 9, Digest: [32]byte{9}, Event: &releasev1.Event{
			Previous: &releasev1.Previous{Sequence: after.Sequence, Sha256: after.Digest[:]},
			Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{
				Release: "r", State: &releasev1.TargetState{Deployed: &releasev1.Deployment{Digest: digest}, UnknownSince: unknown},
			}},
		}}
	}
	copied := procedure.Entry{Sequence: 7, Digest: [32]byte{7}}
	tests := map[string]struct {
		record           []procedure.Entry
		carried          string
		lost, unapproved int
	}{
		"as it is on record":         {[]procedure.Entry{locked, unlocked(locked, "a", "")}, "a", 0, 0},
		"something else":             {[]procedure.Entry{locked, unlocked(locked, "a", "")}, "b", 1, 0},
		"nothing":                    {[]procedure.Entry{locked, unlocked(locked, "a", "")}, "", 1, 0},
		"somebody is at work":        {[]procedure.Entry{locked}, "b", 0, 0},
		"nobody claims to know":      {[]procedure.Entry{locked, unlocked(locked, "a", "r")}, "b", 0, 0},
		"said by a copy":             {[]procedure.Entry{locked, unlocked(copied, "a", "")}, "b", 0, 0},
		"of nobody":                  {nil, "b", 0, 1},
		"of nobody, who was nowhere": {nil, "", 0, 0},
	}
	for name, test := range tests {
		b := &bench{entries: map[string][]procedure.Entry{"tgt.t": test.record}}
		if b.keeps(targetPlan{ID: "t"}, test.carried); b.Lost != test.lost || b.Unapproved != test.unapproved {
			t.Errorf("%s: lost %d, unapproved %d; not %d and %d", name, b.Lost, b.Unapproved, test.lost, test.unapproved)
		}
	}
}

// The judge reads an entry as any client does: the bytes, when they were stored, and the header.
func TestARevisionTellsWhatItDidAndUnderWhichFence(t *testing.T) {
	at := time.Unix(100, 0)
	tests := map[string]struct {
		header, operation           string
		digest, key, effect, action string
		fence                       uint64
	}{
		"forth":         {`{"epoch":"e","sequence":7,"key":"r/0/2"}`, "", digestOf("a"), "r/0/2", "r/0/apply", "apply", 7},
		"back":          {`{"epoch":"e","sequence":8,"key":"r/0/rollback-1"}`, "", digestOf("a"), "r/0/rollback-1", "r/0/rollback", "rollback", 8},
		"sealed":        {`{"epoch":"e","sequence":9,"key":"","sealed_keys":["r/0/1"]}`, "DEL", "", "", "/apply", "apply", 9},
		"by who knows":  {"", "", digestOf("a"), "", "/apply", "apply", 0},
		"not to decode": {"{", "", digestOf("a"), "", "/apply", "apply", 0},
	}
	for name, test := range tests {
		m := message{Subject: bucketSubject + "flags-1", Data: []byte("a"), Stored: at, Header: nats.Header{}}
		if test.header != "" {
			m.Header.Set(headerNote, test.header)
		}
		if test.operation != "" {
			m.Header.Set(headerOperation, test.operation)
		}
		e, _ := revision(m)
		if e.Target != "flags-1" || !e.Time.Equal(at) || e.Digest != test.digest || e.Key != test.key || e.Effect != test.effect || e.Action != test.action || e.Fence.Sequence != test.fence {
			t.Errorf("%s: %+v", name, e)
		}
	}
	keys := map[string]bool{}
	note{Key: "r/0/2", Past: []string{"r/0/1", "q/0/1"}, Sealed: []string{"r/0/1"}}.begun(keys)
	if !keys["r/0/2"] || !keys["q/0/1"] || keys["r/0/1"] {
		t.Errorf("begun: %v", keys)
	}
}
