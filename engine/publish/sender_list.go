package publish

import (
	"fmt"
	"strings"
)

// ReadSenderList reads a list of blocked senders of Exim (lsearch) or rspamd (a
// map): an address, a domain, "*@domain" or "@domain" a line. Another line (a
// pattern, a negation, a look-up elsewhere) is kept as one that may match
// anything, by an opaque check behind the list's; notes say which.
func ReadSenderList(name string, text []byte) (checks []SiteCheck, notes []string) {
	check := SiteCheck{List: name, Check: "sender", Name: name}
	for _, line := range logicalLines(text) {
		key, _, _ := strings.Cut(line.text, " ")
		key = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(strings.SplitN(key, "\t", 2)[0]), ":"))
		key = strings.TrimPrefix(strings.TrimPrefix(key, "*"), "@")
		origin := fmt.Sprintf("%s:%d", name, line.number)
		if _, err := exactMember(key); err != nil {
			notes = append(notes, fmt.Sprintf("%s: %q is not read, it may match anything", origin, short(line.text)))
			continue
		}
		check.Entries = append(check.Entries, SiteEntry{Key: key, Action: "reject", Origin: origin})
	}
	if notes == nil {
		return []SiteCheck{check}, nil
	}
	return []SiteCheck{check, {List: name, Check: "opaque", Name: name + " (lines that were not read)"}}, notes
}
