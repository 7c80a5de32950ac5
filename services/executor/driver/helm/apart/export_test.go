package apart

// File is what the chart has made by a name.
func (m Made) File(name string) string { return string(m.files[name]) }
