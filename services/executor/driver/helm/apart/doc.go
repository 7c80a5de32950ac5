// Package apart reads charts, and makes of them what they make, in a process of its own.
//
// A chart is a program. Its templates may never end, or make more than any memory holds, and so may its
// values, its schema or its dependencies, each by a line or two; text/template cannot be stopped from
// outside, and there is no telling before. So nothing of a chart is read or run by the executor: it starts
// its own program again, which does nothing but that (Obey), and takes the answer.
//
//	executor                                   process of its own
//	  how much it may take, the chart,           limits itself, reads the chart, checks its values,
//	  values, capabilities               ──▶     runs its templates
//	  asks the server, as itself         ◀──     GET /api/v1/… (the function lookup)
//	  status, body                       ──▶
//	  takes what was made                ◀──     the files that it makes, or what is wrong with it
//
// The process has no environment, no credentials, no arguments but one, one processor at low priority,
// and limits of the system on its memory, its time on the processor, and the files that it writes (none).
// It is killed as a group when its time is over or when it has said too much, and dies with the executor.
// Where the system runs out of memory it is the first to go. Of these processes there is one at a time, and
// a change waits behind one preview at most.
//
// What it made is placed as it is (Made.Literal): it is not rendered again, so that nothing depends on a
// second time making the same, be it a time, a password or what the server answers.
package apart
