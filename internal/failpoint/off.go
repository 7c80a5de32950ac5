//go:build !failpoints

package failpoint

// Enabled says whether this build can be struck.
const Enabled = false

// Hit marks a place at which an error can be handled.
func Hit(string) error { return nil }

// At marks a place at which none can.
func At(string) {}

// Folder is the folder for what only fault tests keep; empty in this build.
func Folder(string) string { return "" }
