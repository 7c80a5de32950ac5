// Package freeze says whether a release may start at a moment, and if not, what
// holds it and when it may start at the earliest (PD-3.1, PD-3.2).
//
// A freeze holds from its start up to but not including its end, so that two
// freezes that touch leave no gap and none overlaps the other by a moment.
//
// A weekly freeze follows a wall clock, and wall clocks jump. It is an interval
// between two moments, found as follows: it begins at the first moment at which
// the clock shows its start time or a later one, and ends when the clock shows
// its end time or a later one for good.
//
//	clock       jumps 02:00 -> 03:00            falls back 03:00 -> 02:00
//	starts      02:30: at the jump              02:30: the first time it shows 02:30
//	ends        02:30: at the jump              02:30: the second time it shows 02:30
//	02:10-02:50 does not hold that day          from the first 02:10 to the second 02:50
//
// So a freeze never ends early because a clock fell back, holds without a break
// in between, and a time that a clock skips is not waited for. Where a person
// must decide between too long and too short, too long is the one that can be
// undone.
//
// What comes back by a rule of RFC 5545, or stands in an iCalendar, follows the wall
// clock in the same way: its length is what the clock shows, so that one from 18:00 to
// 07:00 ends at 07:00 also in the night in which a clock is changed. A rule begins with
// its start and yields one occurrence a day at the most; what is not understood is
// refused and holds.
//
// A freeze denies or allows. One that denies holds while it is active, whatever allows.
// Where one that allows applies to a target (and to a customer that it serves), nothing
// starts there outside of all that do. An allowing window is the same interval as a
// denying one would be, so that a clock that falls back makes it longer.
//
// The time zone database of the system is used where there is one, and the one
// in this binary where there is none; ZoneData says which it is.
package freeze
