// Package sigstore verifies sigstore bundles offline (PD-1.2): who signed a statement
// with a short-lived certificate, and that a transparency log or a timestamping
// authority saw it while the certificate was valid.
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
// This package says who signed what. Whether that is enough for a gate is decided
// beside it, in package evidence.
package sigstore
