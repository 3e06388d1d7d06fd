package sshd

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// Files are what a Keyring reads; "" = none.
type Files struct {
	AuthorizedKeys string // authorized_keys lines with user="NAME"
	TrustedCA      string // public keys of certificate authorities, one a line
	Revoked        string // see ssh-keygen(1), KEY REVOCATION LISTS, in text
}

// Identity is a person as a key proved them.
type Identity struct {
	Name        string   // of the key's line, or the certificate's key id
	Fingerprint string   // SHA256:..., of the key that was proved
	Principals  []string // of the certificate; nil with a plain key
	NoTerminal  bool     // command lines only
	From        netip.Addr
}

// Keyring tells whose key a key is. It is safe for use by many goroutines.
type Keyring struct {
	files Files
	now   func() time.Time

	mu    sync.RWMutex
	known keys
	marks [3]mark
}

// keys are what the files said when they were read.
type keys struct {
	authorized  []authorizedKey
	authorities []gossh.PublicKey
	revoked     revocations
	closed      error   // why nobody may enter; nil = well
	problems    []error // lines that were skipped, files that cannot be read
}

// mark tells whether a file was written since.
type mark struct {
	size int64
	time time.Time
}

// OpenKeyring reads the files. What is wrong with them is in Problems.
func OpenKeyring(files Files, now func() time.Time) *Keyring {
	k := &Keyring{files: files, now: now}
	k.Reload()
	return k
}

// Reload reads the files anew when one of them was written since; true when so.
func (k *Keyring) Reload() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	var marks [3]mark
	for i, path := range []string{k.files.AuthorizedKeys, k.files.TrustedCA, k.files.Revoked} {
		if info, err := os.Stat(path); path != "" && err == nil {
			marks[i] = mark{info.Size(), info.ModTime()}
		}
	}
	if marks == k.marks && k.known.revoked.ids != nil {
		return false
	}
	k.marks, k.known = marks, k.files.read()
	return true
}

// Use reads other files from now on.
func (k *Keyring) Use(files Files) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if files != k.files {
		k.files, k.marks, k.known = files, [3]mark{}, files.read()
	}
}

// Problems are sentences about the files as last read: what was skipped, what
// cannot be read.
func (k *Keyring) Problems() []error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.known.problems)
}

func (f Files) read() (k keys) {
	k.revoked = revocations{ids: map[string]bool{}}
	if f.AuthorizedKeys != "" {
		data, err := readGuarded(f.AuthorizedKeys)
		if err != nil {
			k.problems = append(k.problems, err)
		}
		keys, problems := parseAuthorizedKeys(f.AuthorizedKeys, data, time.Local)
		k.authorized, k.problems = keys, append(k.problems, problems...)
	}
	if f.TrustedCA != "" {
		data, err := readGuarded(f.TrustedCA)
		if err != nil {
			k.problems = append(k.problems, err)
		}
		for number, line := range strings.Split(string(data), "\n") {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			kind, rest := cutField(line)
			key, err := parseKey(kind, rest)
			if err != nil {
				k.problems = append(k.problems, fmt.Errorf("%s:%d: %w: the line is skipped", f.TrustedCA, number+1, err))
				continue
			}
			k.authorities = append(k.authorities, key)
		}
	}
	if f.Revoked != "" {
		data, err := readGuarded(f.Revoked)
		if err == nil {
			k.revoked, err = parseRevocations(f.Revoked, data)
		}
		if err != nil { // as sshd does: without the list nobody can be told from the revoked
			k.closed = fmt.Errorf("nobody may enter until the revocation list can be read: %w", err)
			k.problems = append(k.problems, k.closed)
		}
	}
	return k
}

// readGuarded refuses a file that others than its owner can write, as sshd's
// StrictModes does.
func readGuarded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s can be written by others (mode %04o): take that away with chmod go-w", path, info.Mode().Perm())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	return data, nil
}

// errUnknownKey says no more: a stranger learns nothing from it.
var errUnknownKey = errors.New("the key is not known for this user")

// Identify tells who somebody is who logs in as user and can prove, or has
// proved, that they hold key. The error says why nobody is known.
func (k *Keyring) Identify(user string, key gossh.PublicKey, from netip.Addr) (Identity, error) {
	if key == nil {
		return Identity{}, errors.New("no key was proved")
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.known.closed != nil {
		return Identity{}, k.known.closed
	}
	if k.known.revoked.has(key) {
		return Identity{}, errors.New("the key was revoked")
	}
	if cert, ok := key.(*gossh.Certificate); ok {
		return k.certified(user, cert, from)
	}
	blob := string(key.Marshal())
	err := errUnknownKey
	for i := range k.known.authorized {
		a := &k.known.authorized[i]
		if a.user != user || string(a.key.Marshal()) != blob {
			continue
		}
		switch {
		case !a.expires.IsZero() && !k.now().Before(a.expires):
			err = fmt.Errorf("the key expired on %s", a.expires.Format(time.RFC3339))
		case !a.allowsFrom(from):
			err = fmt.Errorf("the key may not be used from %s", from)
		default:
			return Identity{Name: a.user, Fingerprint: gossh.FingerprintSHA256(key), NoTerminal: a.noTerminal, From: from}, nil
		}
	}
	return Identity{}, err
}

// certified checks a user certificate (PROTOCOL.certkeys of OpenSSH). The
// person is its key id, which the authority wrote; the user name must be that
// or one of its principals.
func (k *Keyring) certified(user string, cert *gossh.Certificate, from netip.Addr) (Identity, error) {
	known := slices.ContainsFunc(k.known.authorities, func(a gossh.PublicKey) bool {
		return string(a.Marshal()) == string(cert.SignatureKey.Marshal())
	})
	switch {
	case cert.CertType != gossh.UserCert:
		return Identity{}, errors.New("the certificate is no user's")
	case !known:
		return Identity{}, errors.New("the certificate's authority is not trusted")
	case len(cert.ValidPrincipals) == 0:
		return Identity{}, errors.New("the certificate names no principal")
	case !plainName(cert.KeyId):
		return Identity{}, errors.New("the certificate's key id is no user name")
	case user != cert.KeyId && !slices.Contains(cert.ValidPrincipals, user):
		return Identity{}, errors.New("the certificate is for another user name")
	case !sourceAllowed(cert.CriticalOptions["source-address"], from):
		return Identity{}, fmt.Errorf("the certificate may not be used from %s", from)
	}
	checker := gossh.CertChecker{Clock: k.now, SupportedCriticalOptions: []string{"source-address"}}
	if err := checker.CheckCert(cert.ValidPrincipals[0], cert); err != nil {
		return Identity{}, fmt.Errorf("the certificate does not hold: %w", err)
	}
	_, terminal := cert.Extensions["permit-pty"]
	return Identity{Name: cert.KeyId, Fingerprint: gossh.FingerprintSHA256(cert.Key), Principals: slices.Clone(cert.ValidPrincipals), NoTerminal: !terminal, From: from}, nil
}

// sourceAllowed checks the critical option source-address: a list of networks.
func sourceAllowed(list string, from netip.Addr) bool {
	if list == "" {
		return true
	}
	for network := range strings.SplitSeq(list, ",") {
		if matchAddress(network, from.Unmap()) {
			return true
		}
	}
	return false
}
