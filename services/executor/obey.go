package executor

import "github.com/blackdice/shipwarden/services/executor/driver/helm/apart"

// Obey ends a process that an executor started to do a part of its work (package apart), when it has done
// it; in any other it returns at once. It comes first in main, and in the TestMain of tests that run an
// executor with targets of Helm.
func Obey() { apart.Obey() }
