// Package demo tells the story of a shop: a planned release with two approvals, a
// bad version that is rolled back by itself, an emergency with its review debt, and
// a release that a freeze holds until it ends. Everything in it is real: a NATS
// server, a PostgreSQL, the four services, an application that is built, placed,
// restarted and looked at. What a person would type is shown as it would be typed.
//
// The story ends with an error as soon as anything in it does not come out as told.
package demo
