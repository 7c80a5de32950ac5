package rig

// SyncAlways reports whether the bus syncs every write before it is acknowledged, as
// JetStream itself says that it runs. Of a bus that is a process of its own nothing is
// known here, and it reports false.
func (r *Rig) SyncAlways() bool { return r.synced }
