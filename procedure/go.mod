module github.com/blackdice/shipwarden/procedure

go 1.26.0

require (
	github.com/blackdice/shipwarden/proto v0.0.0
)

replace (
	github.com/blackdice/shipwarden/proto => ../proto
)
