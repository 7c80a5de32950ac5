// Package promtest gives a test a real Prometheus, with the series that the test writes.
//
// The server is the program of .bin, or of PATH, on a loopback port and in a folder of the
// test. It scrapes nothing, itself included: all that it holds came by Write.
package promtest
