module github.com/blackdice/shipwarden

go 1.26.0

require (
	github.com/blackdice/shipwarden/internal v0.0.0
	github.com/blackdice/shipwarden/procedure v0.0.0
	github.com/blackdice/shipwarden/proto v0.0.0
	github.com/blackdice/shipwarden/services/approval v0.0.0
	github.com/blackdice/shipwarden/services/executor v0.0.0
	github.com/blackdice/shipwarden/services/recorder v0.0.0
	github.com/blackdice/shipwarden/services/validator v0.0.0
)

require golang.org/x/mod v0.42.0

replace (
	github.com/blackdice/shipwarden/internal => ./internal
	github.com/blackdice/shipwarden/procedure => ./procedure
	github.com/blackdice/shipwarden/proto => ./proto
	github.com/blackdice/shipwarden/services/approval => ./services/approval
	github.com/blackdice/shipwarden/services/executor => ./services/executor
	github.com/blackdice/shipwarden/services/recorder => ./services/recorder
	github.com/blackdice/shipwarden/services/validator => ./services/validator
)
