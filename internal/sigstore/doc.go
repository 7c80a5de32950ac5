// Package sigstore verifies sigstore bundles offline (PD-1.2, PD-A.4): who signed a
// statement or a text with a short-lived certificate, and that a transparency log or a
// timestamping authority saw it while the certificate was valid. The wall clock has no part
// in it, so that what verified once verifies in every year.
//
// All trust comes from one trusted root, a file that the procedure document pins by
// its digest; nothing is fetched. What the root has decides what a bundle must show:
//
//   - certificate authorities: the certificate is issued by one of them;
//   - certificate transparency logs, if any: one of them has logged the certificate;
//   - transparency logs, if any: one of them has logged the signature;
//   - a time, by such a log or by a timestamping authority: the certificate was valid
//     then. A root that has neither cannot be used.
//
// This package says who signed what, and when. Whether that is enough for a gate is decided
// by the approval service (package evidence), and whether it is somebody's approval by
// package consent.
package sigstore
