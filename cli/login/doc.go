// Package login is that a person logs in at an OpenID Connect provider, from a terminal:
// by the device authorization flow (RFC 8628), in which the browser may be on another
// machine and no port is opened on this one (PD-A.4).
//
//	shipwarden login        asks the provider for a code, shows it, waits for the person
//	any command             sends the ID token; refreshes it where it is about to end
//	shipwarden logout       takes the refresh token back, and removes the file
//
// What the provider gives lies in one file that nobody else on the machine may read. It
// is shown to nobody, stands in no error, and goes to the provider, which has made it,
// and to the services alone. A file is good for the issuer and client that it was made
// with; another setting finds nobody logged in.
package login
