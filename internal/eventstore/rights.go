package eventstore

import (
	"fmt"
	"slices"

	"github.com/blackdice/shipwarden/procedure"
)

// Rights are what one user of the bus may do there: an allow list of subjects to
// publish on, and one of subjects to subscribe to.
type Rights struct {
	Publish   []string
	Subscribe []string
}

// Inbox is the subject prefix under which a user's replies arrive. Each user has one
// of its own, because whoever may listen on another's inbox hears its answers.
func Inbox(user string) string { return "_INBOX_" + user }

// RightsOf returns what a service may do on the bus. It follows from the step table
// and from the folder that the service is: it appends the events that are its own,
// works on its own durables, and reads the record. No service may make, change, purge
// or delete a stream of the record (S1, P13).
func RightsOf(service string) Rights {
	r := Rights{Subscribe: []string{Inbox(service) + ".>"}}
	r.allow("$JS.API.INFO")
	// The record: read by the leader, appended under the service's own name.
	r.allow("$JS.API.STREAM.INFO."+StreamEvents, "$JS.API.STREAM.MSG.GET."+StreamEvents, "rel.*."+service+".>")
	r.objects(BucketEvidence)
	if service != procedure.ServiceRecorder { // Which gives evidence out, and has none.
		r.allow("$O." + BucketEvidence + ".>")
	}
	for _, step := range procedure.Steps {
		if step.Service == service {
			r.durable(streamOf(step.Subjects()), string(step.ID))
		}
	}
	switch service {
	case procedure.ServiceApproval:
		r.allow("svc.*."+service+".>", "pol.*."+service+".>", "req.*."+service+".>", "art.*."+service+".>")
		r.allow("answer.>", "timer.set.>", "timer.fired.>")
		r.values(BucketDeadlines)
		r.values(BucketNotices)
	case procedure.ServiceExecutor:
		r.allow("tgt.*."+service+".>", "art.*."+service+".>")
	case procedure.ServiceRecorder:
		// Its cursor is in the database, so it makes a consumer for each session.
		for _, name := range Sessions() {
			of := StreamEvents + "." + name
			r.allow("$JS.API.CONSUMER.CREATE."+of, "$JS.API.CONSUMER.MSG.NEXT."+of, "$JS.API.CONSUMER.INFO."+of, "$JS.API.CONSUMER.DELETE."+of)
		}
	}
	return r
}

// sessions is how many sessions of recorders the bus lets there be at a time.
const sessions = 8

// Sessions returns the names that consumers of the recorder's sessions may have.
func Sessions() []string {
	var out []string
	for i := range sessions {
		out = append(out, fmt.Sprintf("recorder-session-%d", i+1))
	}
	return out
}

func (r *Rights) allow(subjects ...string) {
	for _, s := range subjects {
		if !slices.Contains(r.Publish, s) {
			r.Publish = append(r.Publish, s)
		}
	}
}

// durable lets a service take messages of a consumer that is there, note those that it
// cannot work on, and no more.
func (r *Rights) durable(stream, name string) {
	of := stream + "." + name
	r.allow("$JS.API.CONSUMER.INFO."+of, "$JS.API.CONSUMER.MSG.NEXT."+of, "$JS.ACK."+of+".>", "park."+name+".>")
}

// objects lets a service read an object store. Whoever may publish below "$O." as well
// may add to it, and could also wipe it: a message that asks for a rollup replaces what
// was there, and the client needs that for its own writing. What cannot be forged is
// content, because its name is its digest.
//
// Nobody may purge it. The client would purge what an upload left behind that failed or
// was repeated; it waits for the answer in vain, and the upload is what it was.
func (r *Rights) objects(bucket string) {
	stream := "OBJ_" + bucket
	r.allow("$JS.API.STREAM.INFO."+stream, "$JS.API.STREAM.MSG.GET."+stream, "$JS.API.DIRECT.GET."+stream+".>",
		"$JS.API.CONSUMER.CREATE."+stream+".>", "$JS.API.CONSUMER.DELETE."+stream+".>")
}

// values lets a service read and write a key-value bucket.
func (r *Rights) values(bucket string) {
	stream := "KV_" + bucket
	r.allow("$JS.API.STREAM.INFO."+stream, "$JS.API.STREAM.MSG.GET."+stream, "$JS.API.DIRECT.GET."+stream+".>",
		"$JS.API.CONSUMER.CREATE."+stream+".>", "$JS.API.CONSUMER.DELETE."+stream+".>", "$KV."+bucket+".>")
}
