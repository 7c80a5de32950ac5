package chaos

import "context"

// Bugs is to come.
func Bugs(context.Context, Config, string) error { return nil }
