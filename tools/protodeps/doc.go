// Command protodeps writes the .proto files that ours import, and that are not
// ours, into a folder.
//
// buf needs the source of every imported file, and would fetch it from its
// registry. The same files travel, compiled, inside Go modules that the project
// depends on anyway: each generated package registers its descriptor, comments
// left out. Printing those descriptors gives sources that need no registry,
// no network beyond the Go module proxy, and no foreign file in our history.
//
//	protodeps third_party
//
// The folder is made anew: a file left from an earlier set would otherwise go on
// resolving imports that a fresh clone cannot resolve.
package main
