package engine

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LintRule names what is wrong with an entry of the policy file.
type LintRule string

// The rules, the gravest first.
const (
	LintTooBroad      LintRule = "too_broad"          // from everyone to everyone
	LintConflicting   LintRule = "conflicting"        // two options tie for the same mail
	LintShadowed      LintRule = "shadowed"           // another policy always wins
	LintUnreachable   LintRule = "unreachable"        // nothing can match it
	LintPermitUseless LintRule = "permit_no_effect"   // a block is decided before the permit
	LintNearMiss      LintRule = "near_miss"          // an entry that almost matches mail that came
	LintDeletes       LintRule = "deletes_or_bounces" // Content Examination without Hold for Review
	LintEveryone      LintRule = "everyone"           // one side is everyone
	LintDuplicate     LintRule = "duplicate"
	LintExpired       LintRule = "expired"
	LintDisabled      LintRule = "disabled"
	LintWithoutTicket LintRule = "without_ticket"
	LintWithoutHits   LintRule = "without_hits"
)

func lintRules() []LintRule {
	return []LintRule{LintTooBroad, LintConflicting, LintShadowed, LintUnreachable, LintPermitUseless, LintNearMiss, LintDeletes, LintEveryone, LintDuplicate, LintExpired, LintDisabled, LintWithoutTicket, LintWithoutHits}
}

// LintFinding is one thing to look at in a policy file.
type LintFinding struct {
	Rule   LintRule `json:"rule"`
	Policy string   `json:"policy,omitempty"` // id; "" for an entry of a list
	File   string   `json:"file"`
	Line   int      `json:"line"` // from 1; 0 where an entry's place is not known
	Why    string   `json:"why"`  // a sentence
	Do     string   `json:"do"`   // what to do about it
}

// Lint looks for entries of the policy file that do not do what they seem to,
// do too much, or do nothing; data is the file as it was loaded under that name,
// for the lines of list entries. usage may be nil. The findings stand in the
// order of the file.
func Lint(set *Set, name string, data []byte, usage *Usage, now time.Time) []LintFinding {
	l := &linter{file: name, set: set.orEmpty(), usage: usage, now: now, lines: listLines(data)}
	for _, section := range sections {
		l.section(section)
	}
	l.managedPermits()
	l.groups()
	slices.SortStableFunc(l.findings, func(a, b LintFinding) int {
		rules := lintRules()
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(slices.Index(rules, a.Rule), slices.Index(rules, b.Rule)))
	})
	return l.findings
}

type linter struct {
	file     string
	set      *Set
	usage    *Usage
	now      time.Time
	lines    map[string]int // of members, by group and member as written
	findings []LintFinding
}

func (l *linter) find(rule LintRule, p *Policy, why, do string) {
	file, line := place(p.Origin)
	l.findings = append(l.findings, LintFinding{Rule: rule, Policy: p.ID, File: file, Line: line, Why: why, Do: do})
}

// place reads "path:line".
func place(origin string) (file string, line int) {
	colon := strings.LastIndexByte(origin, ':')
	if colon < 0 {
		return origin, 0
	}
	line, err := strconv.Atoi(origin[colon+1:])
	if err != nil {
		return origin, 0
	}
	return origin[:colon], line
}
