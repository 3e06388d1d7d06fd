package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// revocations are keys and certificates that count no more: the text form that
// ssh-keygen -k reads (KEY REVOCATION LISTS in ssh-keygen(1)).
type revocations struct {
	fingerprints map[string]bool // SHA256:..., of a key or of a certificate's key
	serials      [][2]uint64     // first and last
	ids          map[string]bool
}

// parseRevocations refuses the whole file at the first line it does not
// understand: a revocation must not be lost.
func parseRevocations(file string, data []byte) (r revocations, err error) {
	r = revocations{fingerprints: map[string]bool{}, ids: map[string]bool{}}
	if bytes.HasPrefix(data, []byte("SSHKRL\n\x00")) {
		return r, fmt.Errorf("%s is a binary revocation list: give the text that ssh-keygen -k was given", file)
	}
	for number, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := r.add(line); err != nil {
			return r, fmt.Errorf("%s:%d: %w", file, number+1, err)
		}
	}
	return r, nil
}

func (r *revocations) add(line string) error {
	field, value, tagged := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case tagged && field == "serial":
		first, last, ranged := strings.Cut(value, "-")
		if !ranged {
			last = first
		}
		from, err := strconv.ParseUint(strings.TrimSpace(first), 0, 64)
		to, errTo := strconv.ParseUint(strings.TrimSpace(last), 0, 64)
		if err != nil || errTo != nil || to < from {
			return fmt.Errorf("%.60q is no serial number and no range", value)
		}
		r.serials = append(r.serials, [2]uint64{from, to})
		return nil
	case tagged && field == "id" && value != "":
		r.ids[value] = true
		return nil
	case tagged && (field == "hash" || field == "sha256") && value != "":
		if !strings.HasPrefix(value, "SHA256:") {
			value = "SHA256:" + value
		}
		r.fingerprints[strings.TrimRight(value, "=")] = true
		return nil
	case strings.HasPrefix(line, "SHA256:"):
		r.fingerprints[strings.TrimRight(line, "=")] = true
		return nil
	case tagged && field == "key":
		line = value
	}
	kind, rest := cutField(line)
	key, err := parseKey(kind, rest)
	if err != nil {
		return errors.Join(errors.New("neither a key, SHA256:..., serial: N, nor id: NAME"), err)
	}
	r.fingerprints[gossh.FingerprintSHA256(key)] = true
	return nil
}

// has reports whether a key, or the certificate over it, was revoked. A
// certificate falls with its authority too.
func (r *revocations) has(key gossh.PublicKey) bool {
	cert, ok := key.(*gossh.Certificate)
	if !ok {
		return r.fingerprints[gossh.FingerprintSHA256(key)]
	}
	for _, s := range r.serials {
		if s[0] <= cert.Serial && cert.Serial <= s[1] && cert.Serial != 0 { // 0 = no serial was given
			return true
		}
	}
	return r.ids[cert.KeyId] || r.has(cert.Key) || r.has(cert.SignatureKey)
}
