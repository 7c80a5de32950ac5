// Package referrers finds the statements that a registry keeps beside an image or a chart
// (PD-1.2): the manifests that refer to it, by the referrers API of the OCI distribution
// specification, page by page, or, where a registry does not have that, by its tag scheme.
// Where none of these is a statement, it looks under the tag sha256-….att, where cosign
// kept them before there were referrers.
//
// A referrer counts as evidence where its artifact type, and that of the layer that is
// taken, is that of a DSSE envelope, an in-toto statement in one, or a sigstore bundle;
// everything else beside an image is none of ours. What is found is not believed: it is
// judged as what comes with a request is.
//
// Only servers that the configuration names are asked, over TLS unless their entry says
// otherwise, also where one of them points elsewhere. Number and size are bounded; what
// goes beyond is ErrBounds, for what was left out could be what matters. An answer that is
// no list of manifests, and a word on further pages that cannot be read or leads elsewhere,
// is ErrUnreachable: nothing but an empty list, or a registry that has neither the API nor
// the tag, says that nothing is there. Neither has the API who answers its first page with
// a page for people, nor the tag who takes its name for the digest of the image.
package referrers
