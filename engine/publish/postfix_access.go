package publish

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// SiteCheck is one restriction of a mail server, in the words of the policy
// file's access section.
type SiteCheck struct {
	List       string      `yaml:"list"`
	Check      string      `yaml:"check"` // sender, recipient, client, destination, auth_destination, header or opaque
	Name       string      `yaml:"name"`
	Subdomains bool        `yaml:"subdomains,omitempty"`
	Exceptions bool        `yaml:"exceptions,omitempty"`
	Delimiters string      `yaml:"delimiters,omitempty"` // of recipient_delimiter
	Patterns   bool        `yaml:"patterns,omitempty"`   // the keys are regular expressions
	Entries    []SiteEntry `yaml:"entries,omitempty"`
	Domains    []string    `yaml:"domains,omitempty"`
}

// SiteEntry is one line of a map.
type SiteEntry struct {
	Key    string `yaml:"key,omitempty"`
	Not    bool   `yaml:"not,omitempty"` // counts where the expression does not match
	Action string `yaml:"action"`        // "unknown": it cannot be modelled
	Text   string `yaml:"text,omitempty"`
	Origin string `yaml:"origin"`
}

var replyCode = regexp.MustCompile(`^([245]\d\d)(\s|$)`)

// accessAction reads the right-hand side of an access map or of header_checks,
// see access(5) and header_checks(5); "" when it is a restriction of its own or
// unknown.
func accessAction(value string) (action, text string) {
	word, rest, _ := strings.Cut(value, " ")
	rest = strings.TrimSpace(rest)
	if code := replyCode.FindStringSubmatch(value); code != nil && code[1][0] != '2' && !allDigits(value) {
		return map[byte]string{'4': "defer", '5': "reject"}[code[1][0]], value
	}
	switch strings.ToUpper(word) {
	case "REJECT":
		return "reject", rest
	case "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "HOLD", "DISCARD":
		return strings.ToLower(word), rest
	case "OK", "PERMIT":
		return "permit", ""
	case "DUNNO", "PREPEND", "WARN", "INFO", "BCC", "FILTER", "REDIRECT", "IGNORE", "STRIP", "REPLACE":
		return "dunno", ""
	}
	if value == "" || allDigits(value) {
		return "permit", ""
	}
	return "", ""
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// clientNetwork reads a key of a client map: an address or its first octets, or
// in a cidr: map a network.
func clientNetwork(key string, cidr bool) (string, bool) {
	if _, err := netip.ParsePrefix(key); err == nil {
		return key, cidr
	}
	if _, err := netip.ParseAddr(key); err == nil {
		return key, true
	}
	octets := strings.Split(key, ".")
	if n := len(octets); n < 4 {
		padded := strings.Join(append(octets, "0", "0", "0")[:4], ".")
		if _, err := netip.ParseAddr(padded); err == nil {
			return fmt.Sprintf("%s/%d", padded, 8*n), true
		}
	}
	return "", false
}

// networkBits is how much of an address a key of a client map fixes.
func networkBits(key string) int {
	if p, err := netip.ParsePrefix(key); err == nil {
		return p.Bits()
	}
	return 128
}
