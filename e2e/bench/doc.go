// Package bench measures Shipwarden beside what bounds it, on the same machine and
// in the same run: `make bench`. Absolute figures differ from machine to machine and
// from minute to minute; what is compared are ratios, taken in rounds that alternate
// between the two sides, with their median and spread.
//
//	releases a second   eight plain pull consumers that pass one message on, over a
//	and idle latency    stream with the settings of REL on the same server
//	events recorded     COPY of the same bodies, 1,000 rows a commit, into the same
//	                    PostgreSQL
//	with many releases  the same with few
//	recorded
//	memory, processor,  the targets of docs/performance.md
//	start
//
// Everything but the drivers is what runs in production: the bus and the database
// wait for the disk, requests come over the bus, a person approves over gRPC, the
// validator looks at targets over HTTP. The drivers change nothing (noop), and the
// time for which the validator has to look, 100 ms, is part of every release: where
// releases run side by side it is waited for by all of them at once and is left in,
// and from the latency of a single one it is taken off.
//
// Nothing here fails because something is slow.
package bench
