package mail

import (
	"strings"

	"golang.org/x/net/idna"
)

// Path is a mail address as a log gives it, without angle brackets. NullPath
// is the null reverse-path; the empty Path means not logged.
type Path string

// NullPath is the reverse-path of bounces and notifications (RFC 5321, 4.5.5).
const NullPath Path = "<>"

// Known reports whether the log gave the path at all.
func (p Path) Known() bool { return p != "" }

// Null reports whether the path is the null reverse-path.
func (p Path) Null() bool { return p == NullPath }

// Fold returns the form in which addresses are compared: lower case, the
// domain as A-labels, without a trailing dot. The null path and text that is
// no address fold to themselves in lower case. The local part is folded too:
// RFC 5321 leaves its case to the receiving host, and the policies compare
// without case.
func (p Path) Fold() Path {
	if folded(string(p)) {
		return p
	}
	local, domain, ok := p.cut()
	if !ok {
		return Path(strings.ToLower(string(p)))
	}
	return Path(strings.ToLower(local) + "@" + FoldDomain(domain))
}

// Domain returns the folded domain, or "" where there is none.
func (p Path) Domain() string {
	_, domain, ok := p.cut()
	if !ok {
		return ""
	}
	return FoldDomain(domain)
}

// Local returns the local part as logged, or "" where there is no domain.
func (p Path) Local() string {
	local, _, _ := p.cut()
	return local
}

func (p Path) cut() (local, domain string, ok bool) {
	at := strings.LastIndexByte(string(p), '@')
	if at <= 0 || at == len(p)-1 {
		return "", "", false
	}
	return string(p[:at]), string(p[at+1:]), true
}

// FoldDomain returns a domain in lower case as A-labels (RFC 5890) without a
// trailing dot. A name that cannot be converted is only lowered, so that two
// equal texts always compare equal.
func FoldDomain(domain string) string {
	domain = strings.TrimSuffix(domain, ".")
	if ascii(domain) {
		return strings.ToLower(domain)
	}
	a, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return strings.ToLower(domain)
	}
	return a
}

// folded reports whether text is in its folded form already, which most is:
// lower case ASCII that does not end in a dot.
func folded(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] >= 'A' && s[i] <= 'Z' {
			return false
		}
	}
	return s == "" || s[len(s)-1] != '.'
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
