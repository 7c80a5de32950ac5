package executor

import (
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/internal/consent/signer"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sshsig"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// errSigner says that a signers file names a key that is none, or a key, an identity or a
// person twice.
var errSigner = errors.New("signer cannot be used")

// LoadSigners reads whose signatures an executor demands; nil where the path is empty.
// The procedure document comes over the bus, on which the approval service puts it into
// effect: who had that service could put their own keys into one. This file comes from
// whoever operates the executor (PD-A.4).
func LoadSigners(path string) (*policy.Index, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // None are demanded.
	}
	file := &configv1.Signers{}
	if err := service.LoadConfig(path, file); err != nil {
		return nil, fmt.Errorf("signers_file: %w", err)
	}
	document := &policyv1.Procedure{}
	seen := map[string]string{}
	for i, s := range file.GetSigners() {
		field := fmt.Sprintf("signers_file: signers[%d]", i)
		if before, twice := seen[s.GetPerson()]; twice {
			return nil, fmt.Errorf("%s.person: %w: %s is there already, in %s", field, errSigner, s.GetPerson(), before)
		}
		seen[s.GetPerson()] = field
		person := &policyv1.Person{Id: s.GetPerson()}
		for j, line := range s.GetSsh() {
			key, err := sshsig.ParseKey(line)
			if err != nil {
				return nil, fmt.Errorf("%s.ssh[%d]: %w: %w", field, j, errSigner, err)
			}
			if before, twice := seen[sshsig.Fingerprint(key)]; twice {
				return nil, fmt.Errorf("%s.ssh[%d]: %w: the key is there already, in %s", field, j, errSigner, before)
			}
			seen[sshsig.Fingerprint(key)] = field
			person.SigningKeys = append(person.SigningKeys, &policyv1.PersonKey{Ssh: line})
		}
		for j, id := range s.GetIdentities() {
			named := signer.Identity(id.GetIssuer(), id.GetSubject())
			if before, twice := seen[named]; twice {
				return nil, fmt.Errorf("%s.identities[%d]: %w: the identity is there already, in %s", field, j, errSigner, before)
			}
			seen[named] = field
			person.SigningIdentities = append(person.SigningIdentities, &policyv1.PersonIdentity{Issuer: id.GetIssuer(), Subject: id.GetSubject()})
		}
		document.People = append(document.People, person)
	}
	return policy.NewIndex(document), nil
}

// loadRoots reads the trusted roots that an executor verifies bundles of approvals with. A
// root that came over the bus would be one that whoever has the approval service chose.
func loadRoots(cfg *configv1.Executor) (sigstore.Roots, error) {
	roots, err := sigstore.LoadRoots(cfg.GetSigstoreRootFiles())
	if err != nil {
		return nil, fmt.Errorf("sigstore_root_files%w", err)
	}
	return roots, nil
}
