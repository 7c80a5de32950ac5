package drivertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// File is an artifact of one file with the given content.
func File(name, location string, content []byte) artifact.Artifact {
	a := &releasev1.Artifact{
		Name: name, Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: location,
		Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)),
	}
	return artifact.New(a, int64(len(content)), func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
}

// Plan is a plan that places a version of one file, which tells its version.
func Plan(target string, version int) driver.Plan {
	return driver.Plan{
		Target: target, Version: fmt.Sprintf("%d.0.0", version),
		Artifact: File("shop", fmt.Sprintf("shop/%d/shop", version), fmt.Appendf(nil, "version %d\n", version)),
	}
}
