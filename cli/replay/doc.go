// Package replay derives the decisions of a release again from what is stored, and
// compares them with what the record says (N-01).
//
// It trusts the recorder with nothing but keeping: it verifies the signature of every
// event with a keyring that its user brings, folds the events itself, reads the
// procedure document and the evidence by their digests and computes those, and judges
// with the functions that the services judge with. It stands in the roof because it
// needs the judging of several services, and they may not import each other; all that it
// imports of them is pure.
//
// Of every event that counts it says one of four things:
//
//   - derived: the whole decision follows again from what is stored, byte for byte;
//   - derived in part: so does some of it, and the rest, which is named, was taken from
//     the record as it is, because it came from outside of this history;
//   - taken: nothing was derived, and why: a person decided, or a service looked at the
//     world or changed it;
//   - differs: it does not follow, or something that it rests on is missing or is not
//     what its digest or signature says, and what and where.
//
// What is taken is never counted as derived. That the signed events are all there are,
// the newest ones too, cannot be seen in them: that is for the stream to show.
package replay
