module github.com/blackdice/shipwarden/services/validator

go 1.26.0

require (
	github.com/blackdice/shipwarden/proto v0.0.0
	github.com/blackdice/shipwarden/procedure v0.0.0
	github.com/blackdice/shipwarden/internal v0.0.0
)

replace (
	github.com/blackdice/shipwarden/proto => ../../proto
	github.com/blackdice/shipwarden/procedure => ../../procedure
	github.com/blackdice/shipwarden/internal => ../../internal
)
