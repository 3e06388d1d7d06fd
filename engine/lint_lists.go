package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// listLines tells on which line of the file each group and each member stands,
// by "group" and "group\x00member as folded".
func listLines(data []byte) map[string]int {
	lines := map[string]int{}
	var root struct {
		Groups yaml.Node `yaml:"groups"`
	}
	if yaml.Unmarshal(data, &root) != nil || root.Groups.Kind != yaml.MappingNode {
		return lines
	}
	for i := 0; i+1 < len(root.Groups.Content); i += 2 {
		name, body := root.Groups.Content[i], root.Groups.Content[i+1]
		lines[name.Value] = name.Line
		for j := 0; j+1 < len(body.Content); j += 2 {
			if body.Content[j].Value != "members" {
				continue
			}
			for _, member := range body.Content[j+1].Content {
				lines[name.Value+"\x00"+foldMember(member.Value)] = member.Line
			}
		}
	}
	return lines
}

func (l *linter) findMember(rule LintRule, group, member, why, do string) {
	line := l.lines[group+"\x00"+member]
	if line == 0 {
		line = l.lines[group]
	}
	l.findings = append(l.findings, LintFinding{Rule: rule, File: l.file, Line: line, Why: why, Do: do})
}

// groups looks for entries that almost match mail that came: a domain entry
// does not cover the hosts below it.
func (l *linter) groups() {
	if l.usage == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(l.set.file.groups)) {
		for _, member := range l.set.file.groups[name] {
			if strings.Contains(member, "@") {
				continue
			}
			for _, domain := range slices.Sorted(maps.Keys(l.usage.Domains)) {
				if strings.HasSuffix(domain, "."+member) && !l.listed(name, domain) {
					l.findMember(LintNearMiss, name, member,
						fmt.Sprintf("group %s lists %s, which does not cover %s: %d messages came from there", name, member, domain, l.usage.Domains[domain]),
						fmt.Sprintf("add %s to the group if it is meant too", domain))
				}
			}
		}
	}
}

// listed reports whether a group has an entry that reads as a domain does.
func (l *linter) listed(group, domain string) bool {
	_, found := l.set.entryOfGroup(group, domain)
	return found
}

// managedPermits: a recipient's own permit never beats a policy.
func (l *linter) managedPermits() {
	for _, e := range l.set.file.managed {
		if e.Action != "permit" {
			continue
		}
		for _, recipient := range l.samples(specOfMember(e.Recipient)) {
			for _, sender := range l.samples(specOfMember(e.Sender)) {
				if block := l.blockOf(sender, recipient); block != "" {
					file, line := place(e.Origin)
					l.findings = append(l.findings, LintFinding{Rule: LintPermitUseless, Policy: managedID(e), File: file, Line: line,
						Why: fmt.Sprintf("Blocked Senders %s blocks %s and beats the recipient's own permit", block, e.Sender),
						Do:  "make a Take No Action policy of Blocked Senders instead, or end the block"})
				}
			}
		}
	}
}
