package terminal

// Paint colors text. Its zero value leaves it as it is, which is what files, pipes
// and whoever sets NO_COLOR get.
type Paint struct {
	// On switches colors on.
	On bool
}

func (p Paint) with(code, s string) string {
	if !p.On || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Green is for what went well.
func (p Paint) Green(s string) string { return p.with("32", s) }

// Red is for what did not.
func (p Paint) Red(s string) string { return p.with("31", s) }

// Yellow is for what waits or was let pass.
func (p Paint) Yellow(s string) string { return p.with("33", s) }

// Bold is for what happens now.
func (p Paint) Bold(s string) string { return p.with("1", s) }

// Faint is for what is of no matter yet.
func (p Paint) Faint(s string) string { return p.with("2", s) }
