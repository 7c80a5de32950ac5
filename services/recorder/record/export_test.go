package record

import "time"

// Clock has the recorder tell the age of events by another clock. It is called before Run.
func (r *Recorder) Clock(now func() time.Time) { r.now = now }
