// Package pgtest gives every test a fresh database on a real PostgreSQL server.
//
// A test binary whose TestMain calls Main has one private server, started when
// the first test asks for a database and gone with the binary. A database is
// made and dropped within milliseconds; Migrated copies one from a template that
// the migrations made once, which is as fast.
//
// The server never waits for the disk: what a power cut leaves behind is not the
// business of these tests. StartOwn gives a test a durable server for itself,
// which it may kill and start again.
package pgtest
