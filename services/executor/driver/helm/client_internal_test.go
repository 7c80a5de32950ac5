package helm

import "testing"

// TestWhichSecretIsAskedFor: by whatever path a chart gets there, and nothing else is one.
func TestWhichSecretIsAskedFor(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		name string
		is   bool
	}{
		"/api/v1/namespaces/shop/secrets/database":      {"database", true},
		"/api/v1//namespaces/shop/./secrets/database/":  {"database", true},
		"/api/v1/namespaces/shop/secrets":               {"*", true},
		"/api/v1/namespaces/default/secrets/database":   {"default/database", true},
		"/api/v1/secrets":                               {"*/*", true},
		"/api/v1/secrets/database":                      {"*/database", true},
		"/api/v1/watch/secrets":                         {"*/*", true},
		"/api/v1/watch/namespaces/shop/secrets":         {"*", true},
		"/api/v1/namespaces/secrets":                    {"", false},
		"/api/v1/namespaces/secrets/configmaps/secrets": {"", false},
		"/api/v1/namespaces/shop":                       {"", false},
		"/api/v1/namespaces/shop/configmaps/database":   {"", false},
		"/apis/example.test/v1/namespaces/shop/secrets": {"", false},
		"/api/v1/namespaces/other/../shop/secrets/a":    {"a", true},
		"": {"", false},
	} {
		if name, is := secretAt(path, "shop"); name != want.name || is != want.is {
			t.Errorf("%s: %q, %v", path, name, is)
		}
	}
}
