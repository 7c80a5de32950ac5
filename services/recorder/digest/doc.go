// Package digest tells people by mail, on the next morning, what is on record in their name
// of a day. An approval that a person signed is theirs whatever the approval service does;
// where the procedure demands no signature, that service is believed. So another one, with
// another credential, tells everybody what they are said to have done: whoever did not do it
// learns of it.
//
// # Days
//
// A day begins and ends at midnight in the configured zone, and is told when the clock there
// shows the configured time on the next one. It stands for the messages between two places
// in the stream, and the next day begins where it ends, so that no message is in none of
// them and none in two, whatever clocks did. A day is looked at once the stream has been
// recorded past its end: up to a message that was stored after it, or up to where the stream
// ends, at a moment that is after it by the clock of the bus as well. Until then it waits.
// Days that are over for more than a week are skipped, which is noted and counted.
//
// # Mails
//
// The people of a day are noted with it, in one transaction. Of each mail it is noted when
// the relay is about to get it, and what became of that. A mail of which nobody knows
// whether it arrived is sent once more, with the same bytes and Message-ID, and not again.
//
// # Addresses
//
// They are those of the procedure documents: of the ones that were in effect when the day
// began, and of every one that took effect since. So nobody can keep a mail from somebody by
// changing where it goes on the same day; and a change of an address is told to the old one.
// An address that the relay does not take now, or at which it hangs up, costs the others
// nothing: which ones got the mail is noted. A document that cannot be read for an hour is
// left out, and the mail says so.
package digest
