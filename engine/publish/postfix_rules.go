package publish

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

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
	for _, names := range [][]string{{"-n"}, slices.Concat([]string{"-x"}, restrictionLists, []string{"mydestination", "relay_domains", "virtual_mailbox_domains", "virtual_alias_domains", "mynetworks", "parent_domain_matches_subdomains", "smtpd_milters", "milter_default_action", "recipient_delimiter", "header_checks", "smtpd_relay_before_recipient_restrictions", "smtpd_reject_unlisted_recipient", "soft_bounce"})} {
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
// of its access maps and header_checks. Restrictions that no file can answer
// (block lists, policy services, look-ups in databases and directories) are
// opaque. published are the paths that exceptions are published to.
func ReadPostfixRules(ctx context.Context, configDir string, published []string) (PostfixRules, error) {
	c, err := readPostfixConf(ctx, configDir)
	if err != nil {
		return PostfixRules{}, err
	}
	r := rulesReader{postfixConf: c, published: published, domains: map[string][]string{}}
	for _, name := range []string{"mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains"} {
		list, whole := plainDomains(c.values[name])
		if !whole {
			r.note("%s names a table: its domains are not read", name)
		}
		r.domains[name] = list
	}
	r.rules.Internal = slices.Concat(r.domains["mydestination"], r.domains["virtual_mailbox_domains"], r.domains["virtual_alias_domains"])
	for _, list := range c.lists() {
		r.readList(list)
	}
	for _, table := range words(c.values["header_checks"]) {
		check := SiteCheck{List: "header_checks", Check: "opaque", Name: "header_checks " + table}
		r.readPatterns(&check, table, "header")
		r.rules.Checks = append(r.rules.Checks, check)
	}
	if c.values["smtpd_reject_unlisted_recipient"] == "yes" && !slices.Contains(words(c.values["smtpd_recipient_restrictions"]), "reject_unlisted_recipient") {
		r.rules.Checks = append(r.rules.Checks, SiteCheck{List: "smtpd_recipient_restrictions", Check: "opaque", Name: "smtpd_reject_unlisted_recipient"})
	}
	if c.values["soft_bounce"] == "yes" {
		r.note("soft_bounce is on: what is called a refusal here is answered as a deferral")
	}
	return r.rules, nil
}

// lists are the restriction lists in the order in which smtpd asks them.
func (c postfixConf) lists() []string {
	if c.values["smtpd_relay_before_recipient_restrictions"] == "no" { // before compatibility_level 3.6
		last := len(restrictionLists) - 1
		return append(slices.Clone(restrictionLists[:last-1]), restrictionLists[last], restrictionLists[last-1])
	}
	return restrictionLists
}

// rulesReader puts together what a Postfix enforces.
type rulesReader struct {
	postfixConf
	rules     PostfixRules
	published []string
	domains   map[string][]string // by the parameter that names them
}

func (r *rulesReader) note(format string, args ...any) {
	r.rules.Notes = append(r.rules.Notes, fmt.Sprintf(format, args...))
}

// parents reports whether a feature's domains count for what is below them.
func (r *rulesReader) parents(feature string) bool {
	return slices.Contains(words(r.values["parent_domain_matches_subdomains"]), feature)
}

func (r *rulesReader) readList(list string) {
	items := words(r.values[list])
	warned := false // by warn_if_reject: the next restriction refuses nothing
	for i := 0; i < len(items); i++ {
		check := SiteCheck{List: list, Name: items[i], Check: "opaque"}
		var more []SiteCheck
		switch item := items[i]; {
		case item == "warn_if_reject":
			warned = true
			continue
		case item == "permit_sasl_authenticated" || item == "permit_tls_clientcerts":
			continue // nothing that a message from outside is decided by
		case takesArgument(item):
			if i+1 < len(items) {
				i++
				check.Name += " " + items[i]
			}
			more = r.readCheck(&check, item, items[i])
		case item == "permit_mynetworks":
			check.Check = "client"
			for _, network := range networks(r.values["mynetworks"]) {
				check.Entries = append(check.Entries, SiteEntry{Key: network, Action: "permit", Origin: item})
			}
		case item == "reject_unauth_destination", item == "defer_unauth_destination", item == "permit_auth_destination":
			check.Check = "destination"
			if item == "permit_auth_destination" {
				check.Check = "auth_destination"
			}
			check.Domains = append(slices.Clone(r.rules.Internal), r.domains["relay_domains"]...)
			if r.parents("relay_domains") { // of these alone what is below counts as well
				for _, d := range r.domains["relay_domains"] {
					check.Domains = append(check.Domains, "."+d)
				}
			}
		case item == "permit", item == "reject", item == "defer", item == "defer_if_permit", item == "defer_if_reject":
			check.Check = "client"
			for _, all := range []string{"0.0.0.0/0", "::/0"} {
				check.Entries = append(check.Entries, SiteEntry{Key: all, Action: item, Origin: list + " " + item})
			}
		}
		if warned {
			warned = false
			check = onlyWarns(check)
		}
		r.rules.Checks = append(append(r.rules.Checks, check), more...)
	}
}

// takesArgument reports whether a restriction is followed by its table, its
// block list or its service.
func takesArgument(item string) bool {
	return strings.HasPrefix(item, "check_") || slices.Contains([]string{"reject_rbl_client", "reject_rhsbl_client", "reject_rhsbl_sender", "reject_rhsbl_recipient",
		"reject_rhsbl_helo", "reject_rhsbl_reverse_client", "permit_dnswl_client", "permit_rhswl_client"}, item)
}

// onlyWarns is a check behind warn_if_reject: what it would refuse it only
// notes in the log.
func onlyWarns(check SiteCheck) SiteCheck {
	if check.Check == "destination" || check.Check == "opaque" {
		check.Check, check.Entries = "client", nil
	}
	for i, e := range check.Entries {
		if strings.HasPrefix(e.Action, "defer") || e.Action == "reject" {
			check.Entries[i].Action = "dunno"
		}
	}
	return check
}

// readCheck reads the map of a check_*_access; what cannot be read stays
// opaque. more follows the check: what of the same map looks at something that
// no replay knows.
func (r *rulesReader) readCheck(check *SiteCheck, verb, table string) (more []SiteCheck) {
	looksAt, known := map[string]string{"check_sender_access": "sender", "check_recipient_access": "recipient", "check_client_access": "client"}[verb]
	if !known {
		return nil
	}
	kind, path, ok := strings.Cut(table, ":")
	if !ok {
		kind, path = "hash", table
	}
	if (kind == "pcre" || kind == "regexp") && looksAt != "client" {
		r.readPatterns(check, table, looksAt)
		return nil
	}
	if !slices.Contains([]string{"lmdb", "hash", "btree", "texthash", "cdb", "dbm", "sdbm", "cidr"}, kind) || kind == "cidr" && looksAt != "client" {
		r.note("%s: a %s: map is not read", check.Name, kind)
		return nil
	}
	path = r.absolute(path)
	text, err := os.ReadFile(path)
	if err != nil {
		r.note("%s: %v", check.Name, err)
		return nil
	}
	check.Check, check.Subdomains, check.Exceptions = looksAt, r.parents("smtpd_access_maps"), slices.Contains(r.published, path)
	if looksAt != "client" {
		check.Delimiters = r.values["recipient_delimiter"]
	}
	if check.Exceptions {
		_, text, err = block{path}.read()
		if err != nil {
			r.note("%v", err)
		}
	}
	if unread := r.readEntries(check, path, kind, text); unread {
		more = append(more, SiteCheck{List: check.List, Check: "opaque", Name: check.Name + " (clients by name)"})
	}
	return more
}

// readEntries reads the lines of an access map. unreadClients tells that one
// names a client as no log is sure to give it.
func (r *rulesReader) readEntries(check *SiteCheck, path, kind string, text []byte) (unreadClients bool) {
	offset := lineOffset(path, text)
	for _, line := range logicalLines(text) {
		key, value, _ := strings.Cut(strings.ReplaceAll(line.text, "\t", " "), " ")
		origin := fmt.Sprintf("%s:%d", path, line.number+offset)
		action, words := r.action(origin, strings.TrimSpace(value))
		if check.Check == "client" {
			network, ok := clientNetwork(key, kind == "cidr")
			if !ok {
				r.note("%s: a client by its name is not read", origin)
				unreadClients = true
				continue
			}
			key = network
		}
		check.Entries = append(check.Entries, SiteEntry{Key: strings.ToLower(key), Action: action, Text: words, Origin: origin})
	}
	if check.Check == "client" && kind != "cidr" { // looked up by the whole address, then by its first octets
		slices.SortStableFunc(check.Entries, func(a, b SiteEntry) int { return networkBits(b.Key) - networkBits(a.Key) })
	}
	return unreadClients
}

// action reads what an entry does, and says so where it cannot.
func (r *rulesReader) action(origin, value string) (action, text string) {
	action, text = accessAction(value)
	if action == "" {
		r.note("%s: the action %q is not read", origin, short(value))
		return "unknown", ""
	}
	return action, text
}

func (r *rulesReader) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

// lineOffset is how many lines of a file stand before the text that was read.
func lineOffset(path string, text []byte) int {
	whole, err := os.ReadFile(path)
	if err != nil || len(text) > len(whole) {
		return 0
	}
	return bytes.Count(whole[:len(whole)-len(text)], []byte{'\n'})
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
		if _, ok := clientNetwork(w, true); ok {
			list = append(list, w)
		}
	}
	return list
}
