// Package sitetest gives the tests of the executor's steps a world of real parts: a
// NATS server with the product's streams, an artifact folder, a procedure document
// kept as evidence, targets with real drivers in folders of their own, releases whose
// history is brought to any phase by the services' own signatures, and executors, in
// this process or in one of their own that dies where the test says.
//
//	w := sitetest.New(t, sitetest.Noop("eu1"))
//	w.Carries(t, "eu1", 1)
//	r := w.Release(t, sitetest.Version(2))
//	r.To(t, procedure.PhaseExecute)
//	w.Run(t, "one", execute.New)
//	r.Reaches(t, procedure.PhaseVerify)
package sitetest
