// Package submit makes a request of files, publishes it, and waits for its answer.
//
//	release.yaml + evidence ──► check ──► sign ──► request.<environment>.<service>
//	                                                        │ stored as number n
//	answer.<environment>.<service>.<key>, id answer-n ◄─────┘
//
// The answer's subject carries the answers to all requests of that key, so the one
// that is meant is told by the number under which the stream stored the request.
package submit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	"github.com/blackdice/shipwarden/internal/shape"
	"github.com/blackdice/shipwarden/internal/sigstore"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxEvidence is the largest piece of evidence in bytes, as the contract says.
const maxEvidence = 16384

var (
	// ErrTooLarge means that the request does not fit into a message.
	ErrTooLarge = errors.New("request too large")
	// ErrEvidence means that a file is no evidence.
	ErrEvidence = errors.New("no evidence")
)

// Load reads a request from YAML or JSON and appends the content of the evidence
// files to its evidence. Errors name file, line and column, or the evidence file.
// The filename is only for them.
func Load(data []byte, filename string, evidence []string) (*releasev1.Request, error) {
	request := &releasev1.Request{}
	if err := strictyaml.Unmarshal(data, filename, request, func() []strictyaml.Violation { return append(Twice(request), Unclear(request)...) }); err != nil {
		return nil, err
	}
	var faults []error
	for _, file := range evidence {
		content, err := readEvidence(file)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		request.Evidence = append(request.Evidence, content)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if found, err := shape.Check(request); err != nil || len(found) > 0 {
		return nil, fmt.Errorf("%s with its evidence files: %w", filename, errors.Join(err, told(found)))
	}
	if size := proto.Size(request); size > eventstore.MaxMessageSize {
		return nil, fmt.Errorf("%w: %s has %d bytes with its evidence, at most %d are taken", ErrTooLarge, filename, size, eventstore.MaxMessageSize)
	}
	return request, nil
}

// told is what is wrong as one error, nil where nothing is.
func told(found []shape.Violation) error {
	var out []error
	for _, v := range found {
		out = append(out, fmt.Errorf("%s: %s (%s)", v.Field, v.Message, v.Rule))
	}
	return errors.Join(out...)
}

// readEvidence reads a DSSE envelope or a sigstore bundle. What is in it is for the gates
// to judge; that it is one at all can be told here, before somebody waits for a refusal.
func readEvidence(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	if len(content) > maxEvidence {
		return nil, fmt.Errorf("evidence: %s: %w: %d bytes, at most %d are taken", file, ErrEvidence, len(content), maxEvidence)
	}
	var envelope struct {
		MediaType   string            `json:"mediaType"`
		PayloadType *string           `json:"payloadType"`
		Payload     *string           `json:"payload"`
		Signatures  []json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal(content, &envelope); err != nil {
		return nil, fmt.Errorf("evidence: %s: %w: not JSON: %w", file, ErrEvidence, err)
	}
	if sigstore.IsBundle(envelope.MediaType) {
		return content, nil
	}
	if envelope.PayloadType == nil || envelope.Payload == nil || len(envelope.Signatures) == 0 {
		return nil, fmt.Errorf("evidence: %s: %w: neither a sigstore bundle nor a DSSE envelope, which has payloadType, payload and signatures", file, ErrEvidence)
	}
	return content, nil
}

// Unclear returns what of a request's checks can have no verdict. It needs no procedure
// document either.
func Unclear(r *releasev1.Request) []strictyaml.Violation {
	var out []strictyaml.Violation
	look := func(field string, checks []*releasev1.Check) {
		for i, c := range checks {
			for _, f := range criterion.Faults(c) {
				out = append(out, strictyaml.Violation{Field: fmt.Sprintf("%s[%d].%s", field, i, f.Field), Rule: f.Rule, Message: f.Message})
			}
			if short := criterion.ShortBake(c, r.GetValidation().GetBake().AsDuration()); short != "" {
				out = append(out, strictyaml.Violation{Field: "validation.bake", Rule: "baseline.bake", Message: short})
			}
			if short := criterion.Unsettled(c, r.GetValidation().GetBake().AsDuration(), r.GetValidation().GetInterval().AsDuration()); short != "" {
				out = append(out, strictyaml.Violation{Field: "validation.bake", Rule: "logs.bake", Message: short})
			}
			if short := criterion.Hurried(c, r.GetValidation().GetBake().AsDuration()); short != "" {
				out = append(out, strictyaml.Violation{Field: "validation.bake", Rule: "sign_off.bake", Message: short})
			}
		}
	}
	look("validation.checks", r.GetValidation().GetChecks())
	look("rollback_plan.checks", r.GetRollbackPlan().GetChecks())
	if crowded := criterion.Crowded(r, nil, r.GetValidation().GetBake().AsDuration()); crowded != "" {
		out = append(out, strictyaml.Violation{Field: "plan.waves", Rule: "baseline.room", Message: crowded})
	}
	return out
}

// Twice returns what is named twice in a request and must differ. It needs no
// procedure document; everything that does is checked at intake.
func Twice(r *releasev1.Request) []strictyaml.Violation {
	var out []strictyaml.Violation
	seen := map[string]bool{}
	look := func(kind, name, field string) {
		if name != "" && seen[kind+name] {
			out = append(out, strictyaml.Violation{Field: field, Rule: kind + ".twice", Message: fmt.Sprintf("%q is there already", name)})
		}
		seen[kind+name] = true
	}
	for i, a := range r.GetArtifacts() {
		look("name", a.GetName(), fmt.Sprintf("artifacts[%d].name", i))
	}
	for i, c := range r.GetValidation().GetChecks() {
		look("check", c.GetName(), fmt.Sprintf("validation.checks[%d].name", i))
	}
	for i, w := range r.GetPlan().GetWaves() {
		for j, t := range w.GetTargets() {
			look("target", t, fmt.Sprintf("plan.waves[%d].targets[%d]", i, j))
		}
	}
	return out
}
