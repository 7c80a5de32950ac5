// Package show turns what the services answer into text for people: tables,
// descriptions, what an approver has to see. It decides nothing and asks nobody.
// Every text that came over the wire is escaped.
package show
