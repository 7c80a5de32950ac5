// Package driver is the door through which Shipwarden changes production: one
// driver reaches one target, and everything that a step does to it goes through
// the interface Driver (PD-5.1, PD-5.2, PD-7.1).
//
// What an interruption means differs from target to target, and no amount of
// care in the executor hides that. So every driver declares its class, and the
// class is a promise that drivertest.Exercise holds it to:
//
//	class      what the target does                    after a lost executor
//	---------  --------------------------------------  ---------------------------
//	FENCED     keeps the newest fence it has seen      repeat at once: the same
//	           and refuses older ones; knows the       effect is never had twice,
//	           effect that it had last                 and a half one is completed
//	PROBEABLE  can tell by its key whether an effect   wait for the lease, Probe,
//	           happened, but cannot refuse a stale     then repeat; a pause longer
//	           executor                                than the lease is a risk
//	OPAQUE     can neither refuse nor tell             never run again: ErrUnknown,
//	                                                   and a person decides
//
// # Keys, effects and fences
//
// A Key names one attempt at one effect: "<release>/<wave>/<attempt>" for the
// way forth, "<release>/<wave>/rollback-<attempt>" for the way back. All
// attempts at one effect share Key.Effect. A Fence is the place of the target's
// lock in the stream; the newer lock has the higher sequence. For every driver:
//
//   - a call whose fence is older than one that the target has seen fails with
//     ErrStaleFence and changes nothing, and so does a call with a key that
//     another key has superseded;
//   - the same key with the same plan, done before, is a repetition: it changes
//     nothing and reports done;
//   - with a FENCED driver the same holds for every later attempt at the same
//     effect, so that an executor that takes over may count attempts freely;
//   - with an OPAQUE driver a later attempt runs again. An executor that takes
//     over keeps the key of the attempt that it found, and only a person's word
//     that nothing happened makes a new one;
//   - a key that was sealed before it began never has its effect, even if its caller
//     had been let in already and is asleep between any two instructions; what had
//     begun stays as it is;
//   - after a rollback, the release comes forth again only under a newer fence,
//     so that an executor that slept through the rollback cannot undo it.
//
// # Errors
//
// ErrStaleFence: somebody newer has the target, and this caller must stop.
// ErrUnknown: nobody can tell whether the effect happened. ErrNoWayBack: a
// rollback that cannot be done. ErrBusy: somebody else is at work on the target;
// nothing was done, and a repetition is right. ErrSealed and ErrNoTime: nothing was
// done, and a repetition does nothing either. *ManualChange: somebody else has changed the target, and
// people say whose change counts. Every other error means that the
// effect failed; Result may hold the output that says why.
package driver
