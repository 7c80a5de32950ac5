// Package promtest gives a test a real Prometheus, with the series that the test writes, and a
// real Alertmanager, with the alerts that the test sends it.
//
// Each is the program of .bin, or of PATH, on a loopback port and in a folder of the
// test. Prometheus scrapes nothing, itself included: all that it holds came by Write or by the
// rules of the test.
package promtest
