package rig

// SyncAlways reports whether the bus syncs every write before it is acknowledged, as
// JetStream itself says that it runs.
func (r *Rig) SyncAlways() bool { return r.nats.SyncAlways() }
