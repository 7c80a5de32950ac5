package station

import (
	"context"
	"log/slog"
	"slices"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// WarnOfRoots logs the trusted roots of documents in effect by which people sign approvals
// and which are none of those configured here: whatever was approved so is refused at its
// start. It says so when the process starts, and not only when a release is refused. Only
// the bus has the documents, so it is no reason not to start.
func (s *Station) WarnOfRoots(ctx context.Context, configured func(digest string) bool) {
	ctx, cancel := context.WithTimeout(ctx, comparing)
	defer cancel()
	documents, err := s.documents(ctx)
	if err != nil {
		slog.WarnContext(ctx, "the configured trusted roots are not compared with the procedure document", slog.Any("error", err))
	}
	for _, d := range documents {
		root := d.Document().GetSigstore().GetTrustedRoot()
		sign := slices.ContainsFunc(d.Document().GetPeople(), func(p *policyv1.Person) bool { return len(p.GetSigningIdentities()) > 0 })
		if sign && !configured(root) {
			slog.WarnContext(ctx, "the trusted root by which people sign approvals is not configured: what they sign so is refused at its start",
				slog.String("field", "sigstore_root_files"), slog.String("procedure", d.Document().GetId()), slog.String("trusted_root", root))
		}
	}
}
