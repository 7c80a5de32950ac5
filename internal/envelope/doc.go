// Package envelope turns a signed event into a message on the bus and back.
//
// The body of the message is the event's protobuf bytes, and those bytes are
// what is signed, hashed and kept: nothing is ever marshaled a second time to be
// checked. The signature is Ed25519 over the DSSE pre-authentication encoding of
// the payload type and the body, so a signature of another kind of document can
// not be passed off as one of an event. It travels in a header beside the body:
//
//	rel.shop-k7q2m3xw5d8ta4bc.approval.gates_confirmed
//	Shipwarden-Signature: approval-2026 MEUCIQ…
//	ce-specversion: 1.0
//	ce-id: 0198c6…                       also Nats-Msg-Id
//	ce-source: /shipwarden/approval
//	ce-type: shipwarden.release.v1.gates_confirmed
//	ce-subject: rel.shop-k7q2m3xw5d8ta4bc
//	ce-time: 2026-11-23T20:05:00.123Z
//	ce-datacontenttype: application/protobuf
//	ce-correlationid: shop-k7q2m3xw5d8ta4bc
//	ce-causationid: 0198c5…
//
// The ce- headers are the binary mode of the CloudEvents binding for NATS: a
// plain client reads them without knowing the schema. They are not signed, so
// Open accepts a message only where each of them repeats the body. The subject
// must do so too: an event that is stored under a subject which is not its own
// (a replayed message, a reply that was sent to a forged address) is refused.
//
// Open says whether an event is authentic. Whether it counts is for
// procedure.Evolve to say.
package envelope
