// Package postgres runs a private PostgreSQL cluster from binaries that the
// machine already has.
//
// It serves the one-process mode, where the record must lie in a real database
// and nobody should have to set one up, and the tests. Operators of a cluster
// give the recorder a DSN of their own database instead.
//
// # Layout
//
// Everything lies below Config.Dir:
//
//	data/         the cluster; complete from the moment it has this name
//	run/          the Unix socket
//	password      the superuser's password, readable by the owner only
//	postgres.log  the server's log, the previous one beside it as .1
//	lock          held while a Server runs
//
// # Who runs it
//
// PostgreSQL refuses to run as root. When this process is root, initdb and
// postgres run as the user postgres, or else as nobody, who get data/ and run/
// and nothing else.
//
// # Who may connect
//
// The Unix socket lies in a directory that only that user and root may enter,
// and asks for no password. A TCP port, on loopback and only when configured,
// asks for the generated password by SCRAM-SHA-256.
//
// # How it ends
//
// On Linux the kernel tells postgres to shut down when this process ends in any
// way. Elsewhere, and in the moment before that has happened, the next Start on
// the same directory finds the orphan by the name this package gave it and stops
// it. A postmaster.pid without its postmaster never hinders a start.
package postgres
