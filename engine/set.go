package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"mailwhy/engine/mail"
)

// Set is a compiled, immutable policy set; safe for use by many goroutines. The
// zero Set stands for policies that nobody loaded: nothing is decided by it.
type Set struct {
	version string
	unread  bool // made of the zero Set
	file    *file
	book    *addressBook
	tables  map[Section]*contestTable

	managed  map[string]map[string]ManagedEntry // recipient, then sender, folded
	autoSent map[string]map[string]time.Time    // internal, external -> last sent

	changes        []Change            // exceptions, oldest first
	managedChanges map[string][]Change // those of a recipient's own list, by recipient
	removals       bool                // some exception takes a member out of a group
	listChanges    []Change            // those of lists and groups

	strangers []mail.Path       // see strangersOf
	lacking   map[fact][]string // names of what logs lack most often

	walks    *walkPool
	outcomes []mail.Outcome
}

// file is what the policy file says, before it is compiled.
type file struct {
	site       siteRules // what the mail server asks before any policy
	internal   map[string]bool
	outbound   []netip.Prefix
	freeMail   map[string]bool
	groups     map[string][]string
	policies   map[Section][]Policy
	managed    []ManagedEntry
	autoAllow  []autoAllow
	attributes []attribute
	known      known
	defaults   defaults
	engine     Assumptions
	loadedHash string
}

type attribute struct{ address, name, value string }

type known struct {
	partial map[string]bool
	asOf    time.Time
}

type defaults struct {
	externalToExternal, relay, blockedSenders, antiSpoofing, relayListsSenders bool
}

// Assumptions are the tables of the policy file's engine section: what the
// vendor does not document, each with a default.
type Assumptions struct {
	Specificity []SpecType // lowest to highest
	Order       []Slot     // of the stages
	ToFirst     bool       // compare: to_first
	HeaderOnly  bool       // data_contest: header
	Location    *time.Location
	Propagation time.Duration // a change may not have reached every gateway before it is this old
}

// orEmpty makes the zero Set usable.
func (s *Set) orEmpty() *Set {
	if s.file == nil {
		empty := compile(newFile())
		empty.unread = true
		return empty
	}
	return s
}

// Loaded reports whether policies were ever read. Without any, no verdict is
// known: it is undetermined and says that the policies are missing.
func (s *Set) Loaded() bool { return s.file != nil && !s.unread }

// missingPolicies stands in Verdict.Missing when no policies are loaded.
const missingPolicies = "policies"

// Version is a hash of the loaded policies and the changes applied to them.
func (s *Set) Version() string { return s.version }

// Assumptions returns the inferred tables in force.
func (s *Set) Assumptions() Assumptions { return s.orEmpty().file.engine }

// Internal reports whether the address is in a registered internal domain.
func (s *Set) Internal(p mail.Path) bool {
	return s.file != nil && s.file.internal[p.Domain()]
}

// AsOf returns when the policies were read from the gateway, zero when the
// file does not say, and the sections that are known in part only.
func (s *Set) AsOf() (at time.Time, partial []string) {
	s = s.orEmpty()
	for section := range s.file.known.partial {
		partial = append(partial, section)
	}
	slices.Sort(partial)
	return s.file.known.asOf, partial
}

func (s *Set) completeness() Completeness {
	at, partial := s.AsOf()
	return Completeness{Partial: append([]string{}, partial...), AsOf: at}
}

// Apply returns the set with the changes of exceptions; s stays as it is.
func (s *Set) Apply(changes ...Change) *Set {
	if len(changes) == 0 {
		return s
	}
	s = s.orEmpty()
	applied := *s
	applied.changes = append(slices.Clip(s.changes), changes...)
	added := map[Section][]Policy{}
	for _, c := range applied.changes {
		for _, p := range c.Policies {
			added[p.Section] = append(added[p.Section], p)
		}
	}
	applied.book = s.fileBook().over()
	applied.tables = maps.Clone(s.tables)
	for section, policies := range added {
		base := s.tables[section]
		if base == nil {
			base = newContestTable(section, nil, applied.book, &s.file.engine)
		}
		applied.tables[section] = base.with(policies, applied.book, &s.file.engine)
	}
	applied.managedChanges = maps.Clone(s.managedChanges)
	for _, c := range changes {
		applied.noteManaged(c)
		if len(c.ManagedPut)+len(c.ManagedDelete)+len(c.GroupRemove) > 0 {
			applied.listChanges = append(slices.Clip(applied.listChanges), c)
		}
		applied.removals = applied.removals || len(c.GroupRemove) > 0
	}
	sum := sha256.New()
	fmt.Fprintln(sum, s.version)
	for _, c := range changes {
		fmt.Fprintf(sum, "%+v\n", c)
	}
	applied.version = hex.EncodeToString(sum.Sum(nil))[:16]
	return &applied
}

// fileBook is the address book of the policy file, without exceptions.
func (s *Set) fileBook() *addressBook {
	if s.book.below != nil {
		return s.book.below
	}
	return s.book
}

// noteManaged files a change under each recipient whose list it touches.
func (s *Set) noteManaged(c Change) {
	if len(c.ManagedPut)+len(c.ManagedDelete) == 0 {
		return
	}
	if s.managedChanges == nil {
		s.managedChanges = map[string][]Change{}
	}
	seen := map[string]bool{}
	for _, e := range slices.Concat(c.ManagedPut, c.ManagedDelete) {
		recipient := string(mail.Path(e.Recipient).Fold())
		if !seen[recipient] {
			seen[recipient] = true
			s.managedChanges[recipient] = append(slices.Clip(s.managedChanges[recipient]), c)
		}
	}
}

// Policies lists every policy, in force or not, defaults and exceptions too,
// by section and then as written.
func (s *Set) Policies() []Policy {
	var all []Policy
	s = s.orEmpty()
	for _, section := range sections {
		if t := s.tables[section]; t != nil {
			all = append(all, t.policies...)
			all = append(all, t.extra...)
		}
	}
	return all
}

// Managed lists the managed sender entries of the file, sorted by recipient
// and sender, with the changes of exceptions in force at an instant.
func (s *Set) Managed(at time.Time) []ManagedEntry {
	var all []ManagedEntry
	seen := map[[2]string]bool{}
	add := func(recipient, sender string) {
		key := [2]string{recipient, sender}
		if seen[key] {
			return
		}
		seen[key] = true
		if e, ok := s.managedEntry(recipient, sender, at); ok {
			all = append(all, e)
		}
	}
	for recipient, list := range s.managed {
		for sender := range list {
			add(recipient, sender)
		}
	}
	for _, c := range s.changes {
		for _, e := range c.ManagedPut {
			add(string(mail.Path(e.Recipient).Fold()), foldMember(e.Sender))
		}
	}
	slices.SortFunc(all, func(a, b ManagedEntry) int {
		if a.Recipient != b.Recipient {
			return compareText(a.Recipient, b.Recipient)
		}
		return compareText(a.Sender, b.Sender)
	})
	return all
}

// managedEntry finds the entry of one recipient for one address or domain.
func (s *Set) managedEntry(recipient, sender string, at time.Time) (ManagedEntry, bool) {
	entry, ok := s.managed[recipient][sender]
	for _, c := range s.managedChanges[recipient] {
		if !inForce(c.Since, c.Until, at) {
			continue
		}
		for _, e := range c.ManagedPut {
			if string(mail.Path(e.Recipient).Fold()) == recipient && foldMember(e.Sender) == sender {
				entry, ok = e, true
			}
		}
		for _, e := range c.ManagedDelete {
			if string(mail.Path(e.Recipient).Fold()) == recipient && foldMember(e.Sender) == sender {
				entry, ok = ManagedEntry{}, false
			}
		}
	}
	return entry, ok
}

// removedFromGroup reports whether an exception in force took a member out.
func (s *Set) removedFromGroup(group, member string, at time.Time) bool {
	for _, c := range s.changes {
		if !inForce(c.Since, c.Until, at) {
			continue
		}
		for _, e := range c.GroupRemove {
			if e.Group == group && foldMember(e.Member) == member {
				return true
			}
		}
	}
	return false
}

func inForce(since, until, at time.Time) bool {
	return (since.IsZero() || !at.Before(since)) && (until.IsZero() || at.Before(until))
}

// foldMember folds an address or a domain to the form they are compared in.
func foldMember(member string) string {
	p := mail.Path(member)
	if p.Domain() == "" {
		return mail.FoldDomain(member)
	}
	return string(p.Fold())
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
