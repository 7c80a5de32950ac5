module github.com/blackdice/shipwarden/procedure

go 1.26.0

require (
	github.com/blackdice/shipwarden/proto v0.0.0
	github.com/google/go-cmp v0.7.0
)

require pgregory.net/rapid v1.3.0

require (
	buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go v1.36.12-20260825204119-511051f7f437.2 // indirect
	google.golang.org/protobuf v1.36.12
)

replace github.com/blackdice/shipwarden/proto => ../proto
