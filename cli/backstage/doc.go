// Package backstage turns the entities of a Backstage catalog, as catalog-info.yaml files
// hold them, into sections of a procedure document.
//
//	Component   a service: its owner, dependencies on other ones, title and tier
//	API         whoever provides it; where nobody here does, a service
//	Resource    with the annotation shipwarden/environment a target, to which is released
//	            what depends on it; with shipwarden/driver, shipwarden/kinds, and
//	            shipwarden/customers for whom it serves
//	Group       a group: its members, how to reach the team, and in shipwarden/customers
//	            whose contacts it is; groups below an owner own what it owns
//	User        a person: the name, and the mail address as alias and contact
//	System, Domain, Location, Template: nothing of a procedure document
//
// It is strict: an entity that it cannot take over, a name that a procedure document does
// not allow, a reference that leads nowhere in the files is an error with its line, and
// all of them are told at once. What is left out although it was there, and what is made
// of it in another way than it is written, is told as a note with its line, so that nobody
// takes the result for more than it is. Who signs, approves and is called is not in a
// Backstage catalog: the result is a beginning, and `shipwarden lint` says what is missing.
package backstage
