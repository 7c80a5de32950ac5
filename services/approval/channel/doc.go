// Package channel tells people by HTTP: one POST to a webhook, or to an incoming
// webhook as Slack, Mattermost and Rocket.Chat have them (PD-4.1, PD-4.2).
//
// A notice is tried a bounded number of times within a deadline. What is tried
// again depends on who listens. A generic webhook is given a key, in the header
// Idempotency-Key and in the body, and sees a repetition for what it is; so
// everything is tried again that may go better the next time: 429, 5xx, and
// connections that fail. A chat knows no keys and would show a message twice; so
// nothing is tried again after which nobody can tell whether it arrived, and the
// receipt says so.
//
//	                         webhook     chat
//	2xx                      delivered   delivered
//	429, 5xx                 again       again (the receiver says that it failed)
//	no connection            again       again
//	lost after sending       again       nobody can tell
//	3xx, other 4xx           given up    given up
//
// The address is a secret: whoever has it can post. It is in no receipt, error
// or log line, and neither is anything that the receiver or the network code
// says, since both like to repeat it; receipts use words of this package.
// Redirects are not followed, for the message would go where nobody decided.
// Addresses that only a machine talks to itself by, such as the metadata service
// of a cloud, are refused after the name was resolved, and the connection goes to
// the address that was checked: a name server cannot lead elsewhere in between.
package channel
