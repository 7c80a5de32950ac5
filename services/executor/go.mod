module github.com/blackdice/shipwarden/services/executor

go 1.26.0

require (
	github.com/blackdice/shipwarden/internal v0.0.0
	github.com/blackdice/shipwarden/procedure v0.0.0
	github.com/blackdice/shipwarden/proto v0.0.0
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/go-containerregistry v0.22.1 // indirect
)

replace (
	github.com/blackdice/shipwarden/internal => ../../internal
	github.com/blackdice/shipwarden/procedure => ../../procedure
	github.com/blackdice/shipwarden/proto => ../../proto
)
