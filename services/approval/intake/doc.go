// Package intake is the door of the procedure: it takes requests from the stream
// REQUESTS, makes releases of those that are in order, and answers every one of
// them (PD-0.1 to PD-0.4).
//
// A request arrives on request.<environment>.<service>; the bus decides who may
// publish there. Its answer goes to answer.<environment>.<service>.<key>, a
// subject made of the request's own name and never of a reply address: a reply
// address could make this service write where the requester may not.
//
// The release's id is a function of environment, service and idempotency key, so
// a request that is sent twice, delivered twice, or taken by two processes at once
// is one release: the second one finds it there. A refused request makes nothing
// and may be corrected and sent again under the same key; that it was refused, and
// why, is kept as an event of its own.
//
//	REQUESTS ──► decode ──► check ──┬──► requested + service_changed (one batch)
//	                                └──► request_refused
//	                                        │
//	                                 answer.<environment>.<service>.<key>
//
// When the change of a release is fixed, or the release ends before that, the
// requester is told with a second answer one subject below the first (tell.go).
//
// Until the answer is stored, the request is not acknowledged; a crash anywhere
// in between repeats all of it, and finds what is done already.
package intake
