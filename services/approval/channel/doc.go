// Package channel tells people: by webhooks, plain or signed, by chats, by pagers and
// Alertmanager, and by mail (PD-4.1, PD-4.2).
//
// A notice is tried a bounded number of times within a deadline. What is tried
// again depends on who listens. A generic webhook is given a key, in the header
// Idempotency-Key and in the body, and sees a repetition for what it is; so do
// PagerDuty, by its dedup_key, and Alertmanager, by the labels of an alert. For these
// everything is tried again that may go better the next time: 429, 5xx, and
// connections that fail. A chat knows no keys and would show a message twice, and so
// would a mailbox; so nothing is tried again after which nobody can tell whether it
// arrived, and the receipt says so.
//
//	                         webhook, pager    chat            mail
//	taken                    delivered         delivered       delivered
//	"later"                  again (429, 5xx)  again           again (4xx)
//	no connection            again             again           again
//	lost after sending       again             nobody can tell nobody can tell
//	"never"                  given up (3xx, other 4xx)         given up (5xx)
//
// The address is a secret: whoever has it can post. It is in no receipt, error
// or log line, and neither is anything that the receiver or the network code
// says, since both like to repeat it; receipts use words of this package.
// Other secrets are added when a request is made, and are in nothing that is kept.
// Redirects are not followed, for the message would go where nobody decided.
// Addresses that only a machine talks to itself by, such as the metadata service
// of a cloud, are refused after the name was resolved, and the connection goes to
// the address that was checked: a name server cannot lead elsewhere in between.
//
// Chats are spoken to by this package and by no library: those that know many of them
// follow redirects, resolve names unseen, read answers without end, and repeat the
// address in their errors.
package channel
