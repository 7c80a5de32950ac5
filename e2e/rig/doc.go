// Package rig sets the whole of Shipwarden up on one machine: a NATS server with
// JetStream on disk, a private PostgreSQL, keys, tokens, configuration files, and
// the four services. `shipwarden dev`, `shipwarden demo` and the end-to-end tests
// all stand on it, so that what is tested is what people try.
//
// Everything lies in one folder and survives a restart:
//
//	bus/         the streams
//	database/    the PostgreSQL cluster
//	secrets/     signing keys, passwords, one token for every person
//	config/      one file for every service, the keyring, the tokens' digests
//	procedure.yaml  the procedure document in effect
//
// The services run either in this process or as processes of their own, from the
// same configuration files and over the same loopback connections.
package rig
