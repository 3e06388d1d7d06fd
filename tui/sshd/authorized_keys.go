package sshd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// authorizedKey is one line of an authorized_keys file (sshd(8), AUTHORIZED_KEYS
// FILE FORMAT) with the option user="NAME", which binds the key to a person.
type authorizedKey struct {
	user       string
	key        gossh.PublicKey
	from       []string  // patterns of the option from; empty = from anywhere
	expires    time.Time // the option expiry-time; zero = never
	noTerminal bool      // restrict or no-pty: command lines only
}

// parseAuthorizedKeys reads every line for itself: one that cannot be read is a
// problem that names file and line, and hides no other.
func parseAuthorizedKeys(file string, data []byte, zone *time.Location) (keys []authorizedKey, problems []error) {
	for number, line := range strings.Split(string(data), "\n") {
		line = strings.Trim(line, " \t\r")
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parseAuthorizedKey(line, zone)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w: the line is skipped", file, number+1, err))
			continue
		}
		keys = append(keys, key)
	}
	return keys, problems
}

func parseAuthorizedKey(line string, zone *time.Location) (k authorizedKey, err error) {
	first, rest := cutField(line)
	if k.key, err = parseKey(first, rest); err != nil {
		blob, _ := cutField(rest)
		if rest == "" || blob == "" || isKeyType(first) {
			return k, err
		}
		kind, keyed := cutField(rest)
		if k.key, err = parseKey(kind, keyed); err != nil {
			return k, err
		}
		for _, option := range splitOptions(first) {
			if err := k.option(option, zone); err != nil {
				return k, err
			}
		}
	}
	if k.user == "" {
		return k, errors.New(`no option user="NAME" says whose key it is`)
	}
	return k, nil
}

func isKeyType(word string) bool {
	return strings.HasPrefix(word, "ssh-") || strings.HasPrefix(word, "ecdsa-") || strings.HasPrefix(word, "sk-")
}

// parseKey reads "TYPE BASE64 comment" with the type already cut off.
func parseKey(kind, rest string) (gossh.PublicKey, error) {
	if !isKeyType(kind) {
		return nil, fmt.Errorf("%.40q is no key type", kind)
	}
	blob, _ := cutField(rest)
	data, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return nil, errors.New("the key is not base64")
	}
	key, err := gossh.ParsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %w", err)
	}
	if key.Type() != kind {
		return nil, fmt.Errorf("the key says it is %s, the line says %s", key.Type(), kind)
	}
	if _, cert := key.(*gossh.Certificate); cert {
		return nil, errors.New("it is a certificate: trust its authority instead")
	}
	return key, nil
}

// cutField cuts at the first blank outside double quotes.
func cutField(text string) (first, rest string) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted && i+1 < len(text):
			i++
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return text[:i], strings.TrimLeft(text[i:], " \t")
		}
	}
	return text, ""
}

// splitOptions cuts at commas outside double quotes.
func splitOptions(text string) (options []string) {
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted && i+1 < len(text):
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			options = append(options, text[start:i])
			start = i + 1
		}
	}
	return append(options, text[start:])
}

// option takes one option. One that asks for something this server does not do
// makes the line unusable when leaving it out would let more in than it says.
func (k *authorizedKey) option(text string, zone *time.Location) error {
	name, value, valued := strings.Cut(text, "=")
	name = strings.ToLower(name)
	if valued {
		if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
			return fmt.Errorf("the value of %.40q is not in double quotes", name)
		}
		value = strings.ReplaceAll(value[1:len(value)-1], `\"`, `"`)
	}
	switch name {
	case "user":
		if !plainName(value) {
			return fmt.Errorf("user=%.40q is no user name", value)
		}
		k.user = value
	case "from":
		k.from = strings.Split(value, ",")
		for _, p := range k.from {
			if err := checkPattern(strings.TrimPrefix(p, "!")); err != nil {
				return err
			}
		}
	case "expiry-time":
		var err error
		if k.expires, err = parseExpiry(value, zone); err != nil {
			return err
		}
	case "restrict", "no-pty":
		k.noTerminal = true
	case "pty":
		k.noTerminal = false
	case "no-agent-forwarding", "no-port-forwarding", "no-x11-forwarding", "no-user-rc", "no-touch-required",
		"agent-forwarding", "port-forwarding", "x11-forwarding", "user-rc", "permitopen", "permitlisten", "environment":
		// nothing is ever forwarded or run, whatever the line says
	default: // command, cert-authority, principals, verify-required, tunnel and what is not known
		return fmt.Errorf("the option %.40q is not supported", name)
	}
	return nil
}

// plainName reports whether a text can be a person's name here: what fits into
// a log line, a journal and a screen without doubt.
func plainName(text string) bool {
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-@+", r) {
			return false
		}
	}
	return text != "" && len(text) <= 64
}

// parseExpiry reads YYYYMMDD[HHMM[SS]][Z], as ssh-keygen -O valid-before writes.
func parseExpiry(text string, zone *time.Location) (time.Time, error) {
	value, utc := strings.CutSuffix(text, "Z")
	if utc {
		zone = time.UTC
	}
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(value) == len(form) {
			if at, err := time.ParseInLocation(form, value, zone); err == nil {
				return at, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("expiry-time=%.40q is not YYYYMMDD or YYYYMMDDHHMM", text)
}

// checkPattern accepts addresses, networks and wildcards of addresses. A host
// name would be believed on the word of whoever keeps the reverse zone.
func checkPattern(p string) error {
	if _, err := netip.ParsePrefix(p); err == nil {
		return nil
	}
	if strings.Trim(p, "0123456789abcdefABCDEF.:*?") != "" || p == "" {
		return fmt.Errorf("from: %.60q is neither an address, a network such as 192.0.2.0/24, nor a pattern such as 192.0.2.*", p)
	}
	return nil
}

// allowsFrom follows sshd's pattern lists: one match is needed, and a negated
// match refuses whatever else matches.
func (k *authorizedKey) allowsFrom(from netip.Addr) bool {
	if len(k.from) == 0 {
		return true
	}
	allowed := false
	for _, p := range k.from {
		p, negated := strings.CutPrefix(p, "!")
		if !matchAddress(p, from.Unmap()) {
			continue
		}
		if negated {
			return false
		}
		allowed = true
	}
	return allowed
}

func matchAddress(pattern string, from netip.Addr) bool {
	if network, err := netip.ParsePrefix(pattern); err == nil {
		return network.Contains(from)
	}
	if address, err := netip.ParseAddr(pattern); err == nil {
		return address.Unmap() == from
	}
	match, err := path.Match(pattern, from.String())
	return err == nil && match
}
