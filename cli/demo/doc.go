// Package demo tells the story of a shop: a planned release with two approvals; a bad
// version that is taken back by itself, which is a change of its own with a record of
// its own; an emergency with its review debt; a release that a freeze holds until it
// ends; one that a person pauses between its waves; and how that one, which was
// verified, is verified no more. Everything in it is real: a NATS server, a PostgreSQL,
// the four services, an application that is built, placed, restarted and looked at.
// What a person would type is shown as it would be typed, one screen for each of them.
//
// The story ends with an error as soon as anything in it does not come out as told.
package demo
