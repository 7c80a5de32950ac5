// Package backstage turns the entities of a Backstage catalog, as catalog-info.yaml files
// hold them, into the people, groups and services of a procedure document.
//
//	Component, API   a service: its owner, dependencies on other ones, title and tier
//	Group            a group: its members, and how to reach the team
//	User             a person: the name, and the mail address as alias and contact
//	System, Domain, Resource, Location, Template: nothing of a procedure document
//
// It is strict: an entity that it cannot take over, a name that a procedure document does
// not allow, a reference that leads nowhere in the files is an error with its line, and
// all of them are told at once. What is left out although it was there is told as a note,
// so that nobody takes the result for more than it is. Who signs, approves and is called
// is not in a Backstage catalog: the result is a beginning, and `shipwarden lint` says
// what is missing.
package backstage
