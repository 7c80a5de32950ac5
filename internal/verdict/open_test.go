package verdict_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/internal/verdict"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// tamper changes the payload of an envelope and leaves its signatures.
func tamper(t *testing.T, data []byte) []byte {
	t.Helper()
	var envelope dsse.Envelope
	if err := json.Unmarshal(data, &envelope); err != nil {
		t.Fatal(err)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		t.Fatal(err)
	}
	envelope.Payload = base64.StdEncoding.EncodeToString(append(payload, ' '))
	changed, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// signRaw signs whatever payload it is given.
func signRaw(payload string, keys ...string) []byte {
	envelope := dsse.Envelope{PayloadType: attest.PayloadType, Payload: base64.StdEncoding.EncodeToString([]byte(payload))}
	for _, key := range keys {
		signature := ed25519.Sign(keyOf(key), dsse.PAE(attest.PayloadType, []byte(payload)))
		envelope.Signatures = append(envelope.Signatures, dsse.Signature{KeyID: key, Sig: base64.StdEncoding.EncodeToString(signature)})
	}
	data, _ := json.Marshal(envelope)
	return data
}

func rawStatement() string {
	return `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + digestOf("web")[7:] +
		`"}}],"predicateType":"` + testType + `","predicate":{"summary":{"result":"PASSED"},"timestamp":"2026-12-01T12:00:00Z"}}`
}

func TestSignedPayloadsThatAreNoStatement(t *testing.T) {
	good := rawStatement()
	for _, test := range []struct {
		name, payload string
		passes        bool
		reason        string
	}{
		{"a statement", good, true, ""},
		{"not JSON", "{", false, "its payload is not well-formed JSON"},
		{"a list", "[]", false, "not an object"},
		{"two documents", good + "{}", false, "something follows"},
		{"older statement type", strings.Replace(good, "Statement/v1", "Statement/v0.1", 1), true, ""},
		{"statement type of before those", strings.Replace(good, "Statement/v1", "Provenance/v0.1", 1), false, "Provenance/v0.1\" instead of https://in-toto.io/Statement/v1"},
		{"statement type in between", strings.Replace(good, "Statement/v1", "Statement/v0.2", 1), false, "Statement/v0.2\" instead of"},
		{"statement type without its host", strings.Replace(good, "https://in-toto.io/Statement/v1", "Statement/v0.1", 1), false, "instead of"},
		{"statement type with something behind it", strings.Replace(good, "Statement/v1", "Statement/v0.1/", 1), false, "instead of"},
		{"no statement type", strings.Replace(good, `"_type"`, `"type"`, 1), false, "is of type \"\" instead of"},
		{"name given twice", strings.Replace(good, `"_type"`, `"predicateType":"https://x.example/","_type"`, 1), false, `the name "predicateType" occurs twice`},
		{"name in other letters", strings.Replace(good, `"subject"`, `"Subject"`, 1), false, "is about something else"},
		{"digest in capitals", strings.Replace(good, digestOf("web")[7:], strings.ToUpper(digestOf("web")[7:]), 1), false, "is about something else"},
		{"digest with its algorithm", strings.Replace(good, digestOf("web")[7:], digestOf("web"), 1), false, "is about something else"},
		{"digest of another algorithm", strings.Replace(good, `"sha256"`, `"sha512"`, 1), false, "is about something else"},
		{"no subject", strings.Replace(good, `"subject"`, `"object"`, 1), false, "is about something else"},
		{"subject that is none", strings.Replace(good, `"subject":[{`, `"subject":[7,{"digest":3},{`, 1), true, ""},
		{"predicate that is a list", good[:strings.Index(good, `,"predicate":`)] + `,"predicate":[]}`, false, "has no value in summary.result"},
		{"nested without end", strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), false, "nested too deep"},
		{"not UTF-8", strings.Replace(good, "PASSED", "PASSED\xff", 1), false, "not UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			verdict := evaluate(document(), web(), signRaw(test.payload, "ci"))[1]
			if (verdict.GetStatus() == passed) != test.passes || !strings.Contains(verdict.GetReason(), test.reason) {
				t.Errorf("%v: %s", verdict.GetStatus(), verdict.GetReason())
			}
		})
	}
}

func TestOneTrustedSignatureAmongSeveralIsEnough(t *testing.T) {
	for _, keys := range [][]string{{"mallory", "ci"}, {"ci", "mallory"}, {"review", "ci"}, {"leaked", "ci"}, {"ci", "ci"}} {
		verdict := evaluate(document(), web(), signRaw(rawStatement(), keys...))[1]
		if verdict.GetStatus() != passed || verdict.GetSignedBy() != "ci" {
			t.Errorf("%v: %v by %s: %s", keys, verdict.GetStatus(), verdict.GetSignedBy(), verdict.GetReason())
		}
	}
	verdict := evaluate(document(), web(), signRaw(rawStatement(), "mallory", "leaked", "review"))[1]
	if verdict.GetStatus() != failed {
		t.Errorf("passed: %s", verdict.GetReason())
	}
}

func TestEnvelopesThatAreNone(t *testing.T) {
	good := string(signRaw(rawStatement(), "ci"))
	for name, envelope := range map[string]string{
		"no signatures":        strings.Replace(good, `"signatures"`, `"signature"`, 1),
		"signatures as text":   `{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":"x"}`,
		"empty signatures":     `{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[]}`,
		"signature as text":    `{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":["x"]}`,
		"too many signatures":  `{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[{}` + strings.Repeat(",{}", 16) + `]}`,
		"payload not base64":   strings.Replace(good, `"payload":"`, `"payload":"%%`, 1),
		"signature not base64": strings.Replace(good, `"sig":"`, `"sig":"%%`, 1),
		"signature cut off":    strings.Replace(good, `=="}]`, `"}]`, 1),
		"payload given twice":  strings.Replace(good, `{`, `{"payload":"e30=",`, 1),
		"empty":                "",
		"null":                 "null",
	} {
		t.Run(name, func(t *testing.T) {
			verdict := evaluate(document(), web(), []byte(envelope))[1]
			if verdict.GetStatus() != failed || !strings.Contains(verdict.GetReason(), "the evidence sha256:") {
				t.Errorf("%v: %s", verdict.GetStatus(), verdict.GetReason())
			}
		})
	}
}

func TestWithoutKeysNothingPasses(t *testing.T) {
	procedure := document()
	procedure.Keys = nil
	if verdict := evaluate(procedure, web(), signRaw(rawStatement(), "ci"))[1]; verdict.GetStatus() != failed {
		t.Errorf("passed: %s", verdict.GetReason())
	}
}

func FuzzEvaluate(f *testing.F) {
	shaketest.Add(f, signRaw(rawStatement(), "mallory"))
	shaketest.Add(f, signRaw(rawStatement(), "mallory", "review"))
	shaketest.Add(f, signRaw(older(rawStatement()), "mallory"))
	shaketest.Add(f, []byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"ci","sig":"AA=="}]}`))
	procedure := document()
	index := policy.NewIndex(procedure)
	good := signRaw(rawStatement(), "ci")
	f.Fuzz(func(t *testing.T, envelope []byte) {
		if bytes.Equal(envelope, good) {
			return
		}
		// Whatever comes, nobody who lacks the key makes the gate pass, and nothing
		// panics. An envelope changed around its signed payload may still pass.
		for _, verdict := range evaluateAll(index, envelope) {
			if verdict.GetStatus() == passed && verdict.GetSignedBy() == "" {
				t.Errorf("passed without a signer: %q", envelope)
			}
			if verdict.GetReason() == "" {
				t.Errorf("no reason: %q", envelope)
			}
		}
	})
}

func FuzzStatement(f *testing.F) {
	shaketest.Add(f, rawStatement())
	shaketest.Add(f, older(rawStatement()))
	shaketest.Add(f, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{}}],"predicateType":"","predicate":[]}`)
	index := policy.NewIndex(document())
	f.Fuzz(func(_ *testing.T, payload string) {
		evaluateAll(index, signRaw(payload, "ci", "review"))
	})
}

func evaluateAll(index *policy.Index, envelope []byte) []*releasev1.GateVerdict {
	return verdict.Evaluate(verdict.Trust{Index: index}, index.Document().GetGates(), &releasev1.Request{Artifacts: web()}, [][]byte{envelope}, now)
}
