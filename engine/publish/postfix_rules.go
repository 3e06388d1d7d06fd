package publish

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// SiteCheck is one restriction of a mail server, in the words of the policy
// file's access section.
type SiteCheck struct {
	List       string      `yaml:"list"`
	Check      string      `yaml:"check"` // sender, recipient, client, destination or opaque
	Name       string      `yaml:"name"`
	Subdomains bool        `yaml:"subdomains,omitempty"`
	Exceptions bool        `yaml:"exceptions,omitempty"`
	Entries    []SiteEntry `yaml:"entries,omitempty"`
	Domains    []string    `yaml:"domains,omitempty"`
}

// SiteEntry is one line of a map.
type SiteEntry struct {
	Key    string `yaml:"key"`
	Action string `yaml:"action"`
	Text   string `yaml:"text,omitempty"`
	Origin string `yaml:"origin"`
}

// PostfixRules are what a Postfix enforces at RCPT, as far as files say it.
type PostfixRules struct {
	Internal []string    // domains whose mailboxes are here
	Checks   []SiteCheck // in the order in which smtpd asks them
	Notes    []string    // what was not read, a sentence each
}

// restrictionLists are asked in this order at RCPT, where smtpd_delay_reject is
// on, as it is by default (SMTPD_ACCESS_README).
var restrictionLists = []string{"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions", "smtpd_recipient_restrictions"}

// postfixConf is `postconf -n` and the defaults that the reading needs.
type postfixConf struct {
	dir    string
	values map[string]string
}

// readPostfixConf asks postconf; configDir "" is the system's. Values come
// expanded.
func readPostfixConf(ctx context.Context, configDir string) (postfixConf, error) {
	argv := []string{"postconf"}
	if configDir != "" {
		argv = append(argv, "-c", configDir)
	}
	c := postfixConf{dir: cmp.Or(configDir, "/etc/postfix"), values: map[string]string{}}
	for _, names := range [][]string{{"-n"}, slices.Concat([]string{"-x"}, restrictionLists, []string{"mydestination", "relay_domains", "virtual_mailbox_domains", "virtual_alias_domains", "mynetworks", "parent_domain_matches_subdomains", "smtpd_milters", "milter_default_action", "recipient_delimiter"})} {
		out, err := runCommand(ctx, "", slices.Concat(argv, names)...)
		if err != nil {
			return c, err
		}
		for line := range strings.Lines(out) {
			if name, value, ok := strings.Cut(line, "="); ok {
				c.values[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
	}
	return c, nil
}

// words splits a list at commas and spaces, keeping what stands in braces
// together.
func words(value string) []string {
	var list []string
	depth := 0
	for _, field := range strings.FieldsFunc(value, func(r rune) bool {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		case ',', ' ', '\t', '\n':
			return depth == 0
		}
		return false
	}) {
		list = append(list, strings.TrimSpace(strings.Trim(field, "{}")))
	}
	return list
}

// ReadPostfixRules reads what a Postfix enforces from `postconf` and the text
// of its access maps. Restrictions that no file can answer (block lists, policy
// services, look-ups in databases and directories) are opaque. published are
// the paths that exceptions are published to.
func ReadPostfixRules(ctx context.Context, configDir string, published []string) (PostfixRules, error) {
	c, err := readPostfixConf(ctx, configDir)
	if err != nil {
		return PostfixRules{}, err
	}
	r := PostfixRules{}
	domains := map[string][]string{}
	for _, name := range []string{"mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"} {
		list, whole := plainDomains(c.values[name])
		if !whole {
			r.Notes = append(r.Notes, fmt.Sprintf("%s names a table: its domains are not read", name))
		}
		domains[name] = list
	}
	r.Internal = slices.Concat(domains["mydestination"], domains["virtual_mailbox_domains"], domains["virtual_alias_domains"])
	parents := func(feature string) bool {
		return slices.Contains(words(c.values["parent_domain_matches_subdomains"]), feature)
	}
	for _, list := range restrictionLists {
		items := words(c.values[list])
		for i := 0; i < len(items); i++ {
			check := SiteCheck{List: list, Name: items[i], Check: "opaque"}
			switch items[i] {
			case "check_sender_access", "check_recipient_access", "check_client_access", "check_helo_access", "reject_rbl_client", "reject_rhsbl_client", "reject_rhsbl_sender",
				"reject_rhsbl_recipient", "reject_rhsbl_helo", "check_policy_service", "check_etrn_access", "check_sender_mx_access", "check_sender_ns_access", "check_sender_a_access",
				"check_recipient_mx_access", "check_recipient_ns_access", "check_recipient_a_access", "check_helo_mx_access", "check_helo_ns_access", "check_helo_a_access",
				"check_reverse_client_hostname_access", "check_client_ns_access", "check_client_mx_access", "check_client_a_access", "check_ccert_access", "check_sasl_access",
				"permit_dnswl_client", "permit_rhswl_client":
				if i+1 < len(items) {
					i++
					check.Name += " " + items[i]
				}
				r.readCheck(&check, items[i], c.dir, parents("smtpd_access_maps"), published)
			case "permit_mynetworks":
				check.Check = "client"
				for _, network := range networks(c.values["mynetworks"]) {
					check.Entries = append(check.Entries, SiteEntry{Key: network, Action: "permit", Origin: "permit_mynetworks"})
				}
			case "reject_unauth_destination", "defer_unauth_destination":
				check.Check, check.Subdomains = "destination", parents("relay_domains")
				check.Domains = append(slices.Clone(r.Internal), domains["relay_domains"]...)
			case "permit":
				check.Check = "client"
				check.Entries = []SiteEntry{{Key: "0.0.0.0/0", Action: "permit", Origin: "permit"}, {Key: "::/0", Action: "permit", Origin: "permit"}}
			case "reject":
				check.Check = "client"
				check.Entries = []SiteEntry{{Key: "0.0.0.0/0", Action: "reject", Origin: list + " reject"}, {Key: "::/0", Action: "reject", Origin: list + " reject"}}
			case "permit_sasl_authenticated", "permit_tls_clientcerts", "permit_auth_destination", "warn_if_reject":
				continue // nothing that a message from outside is decided by
			}
			r.Checks = append(r.Checks, check)
		}
	}
	return r, nil
}

// readCheck reads the map of a check_*_access; what cannot be read stays opaque.
func (r *PostfixRules) readCheck(check *SiteCheck, table, dir string, parents bool, published []string) {
	verb, _, _ := strings.Cut(check.Name, " ")
	looksAt, known := map[string]string{"check_sender_access": "sender", "check_recipient_access": "recipient", "check_client_access": "client"}[verb]
	if !known {
		return
	}
	kind, path, ok := strings.Cut(table, ":")
	if !ok {
		kind, path = "hash", table
	}
	if !slices.Contains([]string{"lmdb", "hash", "btree", "texthash", "cdb", "dbm", "sdbm", "cidr"}, kind) || kind == "cidr" && looksAt != "client" {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: a %s: map is not read", check.Name, kind))
		return
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: %v", check.Name, err))
		return
	}
	check.Check, check.Subdomains, check.Exceptions = looksAt, parents, slices.Contains(published, path)
	if check.Exceptions {
		_, text, err = block{path}.read()
		if err != nil {
			r.Notes = append(r.Notes, err.Error())
		}
	}
	offset := lineOffset(path, text)
	for _, line := range logicalLines(text) {
		key, value, _ := strings.Cut(strings.ReplaceAll(line.text, "\t", " "), " ")
		origin := fmt.Sprintf("%s:%d", path, line.number+offset)
		action, words := accessAction(strings.TrimSpace(value))
		if action == "" {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: the action %q is not read", origin, short(value)))
			continue
		}
		if looksAt == "client" {
			network, ok := clientNetwork(key)
			if !ok {
				r.Notes = append(r.Notes, fmt.Sprintf("%s: a client by its name is not read", origin))
				continue
			}
			key = network
		}
		check.Entries = append(check.Entries, SiteEntry{Key: strings.ToLower(key), Action: action, Text: words, Origin: origin})
	}
}

// lineOffset is how many lines of a file stand before the text that was read.
func lineOffset(path string, text []byte) int {
	whole, err := os.ReadFile(path)
	if err != nil || len(text) > len(whole) {
		return 0
	}
	return bytes.Count(whole[:len(whole)-len(text)], []byte{'\n'})
}

var replyCode = regexp.MustCompile(`^([245]\d\d)(\s|$)`)

// accessAction reads the right-hand side of an access map, see access(5); ""
// when it is a restriction of its own or unknown.
func accessAction(value string) (action, text string) {
	word, rest, _ := strings.Cut(value, " ")
	rest = strings.TrimSpace(rest)
	if code := replyCode.FindStringSubmatch(value); code != nil && code[1][0] != '2' && !allDigits(value) {
		return map[byte]string{'4': "defer", '5': "reject"}[code[1][0]], value
	}
	switch strings.ToUpper(word) {
	case "REJECT":
		return "reject", rest
	case "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT":
		return "defer", rest
	case "OK", "PERMIT":
		return "permit", ""
	case "DUNNO", "PREPEND", "WARN", "INFO", "BCC", "FILTER", "REDIRECT":
		return "dunno", ""
	case "HOLD":
		return "hold", rest
	case "DISCARD":
		return "discard", rest
	}
	if value == "" || allDigits(value) {
		return "permit", ""
	}
	return "", ""
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// clientNetwork reads a key of a client map: an address, a network, or its
// first octets.
func clientNetwork(key string) (string, bool) {
	if _, err := netip.ParsePrefix(key); err == nil {
		return key, true
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

// plainDomains are the domains that a parameter names itself; whole is false
// when it names a table as well.
func plainDomains(value string) (list []string, whole bool) {
	whole = true
	for _, w := range words(value) {
		if strings.ContainsAny(w, ":/$") {
			whole = false
			continue
		}
		list = append(list, w)
	}
	return list, whole
}

func networks(value string) (list []string) {
	for _, w := range words(value) {
		w = strings.NewReplacer("[", "", "]", "").Replace(w)
		if _, ok := clientNetwork(w); ok {
			list = append(list, w)
		}
	}
	return list
}
