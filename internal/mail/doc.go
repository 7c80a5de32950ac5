// Package mail writes mails in plain text and hands them to a relay (RFC 5321): over TLS,
// except to a relay on the same machine that asks for no password, and never to an address
// that must not be reached (package outward). Services that tell people by mail share it.
//
// Nothing that a relay says gets any further than into words of this package: it may hold
// addresses, and what the relay was told.
package mail

import "errors"

var (
	// ErrURL means that the address of a relay is not one.
	ErrURL = errors.New("the address must be smtps://user@host:port or smtp://user@host:port")
	// ErrURLPassword means that the password of a relay stands in its address.
	ErrURLPassword = errors.New("the password is in a secret file, not in the address")
	// ErrPassword means that there is a user without a password, or a password without one.
	ErrPassword = errors.New("one password with a user, and none without")
	// ErrAddress means that a text is no address of somebody.
	ErrAddress = errors.New("an address is local@domain and nothing else")
)
