// Package verdict judges the evidence that came with a release (PD-1.2, PD-1.3).
//
// Evidence is a DSSE envelope that holds an in-toto Statement v1, by itself or in a
// sigstore bundle. A statement satisfies a gate for an artifact when all of this holds:
//
//   - it is signed with a key that the procedure trusts for this gate, today, or with a
//     certificate of somebody whom it trusts for this gate;
//   - it is of the gate's predicate type;
//   - one of its subjects has exactly the artifact's SHA-256 digest;
//   - the gate's field of the predicate holds one of the gate's values;
//   - it is not older than the gate allows, by the predicate's own time, which is what
//     the signer vouches for: the field that its type has for that, else "timestamp";
//     without one it does not count;
//   - all of the gate's rules hold, which are conditions in CEL (package condition);
//   - enough of the predicate's "reviewers" are people who may decide, are members
//     of the gate's reviewer group, and wrote nothing of the change: neither by its
//     own "authors", nor by those of any other trusted statement, nor by the request.
//
// A gate passes when every artifact of the kinds that it is about is covered,
// each by one statement that satisfies everything; two halves do not add up.
// What is missing is a failure like any other, and one gate that fails hides no
// other: there is a verdict for each.
//
// Signatures are checked before anything inside is believed. What an unverified
// envelope claims is used for one thing only: to say in the reason of a failure
// what is wrong with it.
package verdict
