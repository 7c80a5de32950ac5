// Package host places an application on this machine (class FENCED). All that it
// knows of the target lies in the target's folder:
//
//	releases/<digest>/          one release: the file, or what the archive unpacks to
//	releases/<digest>.json      what was placed there, so that tampering shows
//	current -> releases/<digest>
//	fence                       the newest fence and key, and whether it is done
//	lock                        held while the fence or current is changed
//	ledger.jsonl                one line for every effect
//
// Apply and Rollback go through the same stages:
//
//	admit     under the lock: refuse a stale fence, keep the new one
//	stage     without the lock: unpack next to the release's place, verified
//	change    under the lock, if the fence still holds: pending, place, switch
//	          current by one rename, ledger
//	restart   under the same lock, so that a newer executor waits until it is over
//	done      the fence says so, old releases are removed
//
// A crash leaves the fence without its done. A repetition with the same key, a
// later attempt or a newer release goes through the stages again; those that were
// done change nothing, but the restart is run again, because nobody can tell how
// far it came: the application is restarted at least once, and switched exactly
// once. pending survives from key to key until a restart has succeeded.
package host
