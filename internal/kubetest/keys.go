package kubetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Identity is somebody whom the API server knows by a token.
type Identity string

// Who there is.
const (
	// Admin may do everything.
	Admin Identity = "admin"
	// Executor changes what is in the namespaces of tests, and nothing elsewhere.
	Executor Identity = "executor"
	// Validator reads what is in the namespaces of tests, secrets excepted, and nothing
	// elsewhere.
	Validator Identity = "validator"
)

// groups are what makes an identity more than its name.
var groups = map[Identity]string{Admin: "system:masters", Executor: "shipwarden", Validator: "shipwarden"}

// keys are what the components know each other by, as files of a folder.
type keys struct {
	dir    string
	pool   *x509.CertPool
	ca     []byte
	tokens map[Identity]string
}

func (k *keys) path(name string) string { return filepath.Join(k.dir, name) }

// makeKeys makes an authority, the API server's certificate, the key that signs tokens of
// service accounts, and a token for each identity.
func makeKeys(dir string) (*keys, error) {
	k := &keys{dir: dir, pool: x509.NewCertPool(), tokens: map[Identity]string{}}
	from := time.Now().Add(-time.Minute)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubetest"}, NotBefore: from, NotAfter: from.AddDate(0, 0, 1),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	server, err := k.key("server.key")
	if err != nil {
		return nil, err
	}
	if _, err := k.key("accounts.key"); err != nil {
		return nil, err
	}
	if k.ca, err = k.certificate("ca.crt", authority, authority, &signer.PublicKey, signer); err != nil {
		return nil, err
	}
	k.pool.AppendCertsFromPEM(k.ca)
	if _, err := k.certificate("server.crt", &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"}, NotBefore: from, NotAfter: authority.NotAfter,
		DNSNames: []string{"localhost", "kubernetes.default.svc"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, &server.PublicKey, signer); err != nil {
		return nil, err
	}
	var known strings.Builder
	for who, group := range groups {
		k.tokens[who] = rand.Text()
		fmt.Fprintf(&known, "%s,%s,%s,%q\n", k.tokens[who], who, who, group)
	}
	return k, os.WriteFile(k.path("tokens.csv"), []byte(known.String()), 0o600)
}

func (k *keys) key(name string) (*ecdsa.PrivateKey, error) {
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(made)
	if err != nil {
		return nil, err
	}
	return made, os.WriteFile(k.path(name), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

func (k *keys) certificate(name string, of, by *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, of, by, public, signer)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return text, os.WriteFile(k.path(name), text, 0o600)
}

// kubeconfig writes the file by which clients find the server and say who they are. JSON is
// YAML.
func (k *keys) kubeconfig(path, url string, who Identity, namespace string) error {
	type object = map[string]any
	text, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []object{{"name": "test", "cluster": object{"server": url, "certificate-authority-data": k.ca}}},
		"users":    []object{{"name": string(who), "user": object{"token": k.tokens[who]}}},
		"contexts": []object{{"name": "test", "context": object{"cluster": "test", "user": string(who), "namespace": namespace}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
