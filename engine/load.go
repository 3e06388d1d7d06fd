package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"mailwhy/engine/mail"
)

// Problem is one thing wrong with a policy file. Line counts from 1.
type Problem struct {
	File     string
	Line     int
	Sentence string
}

// String gives "file:line: sentence".
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Sentence) }

// LoadError holds every problem found; nothing was loaded.
type LoadError struct{ Problems []Problem }

// Error lists the problems, a line each: "file:line: sentence".
func (e *LoadError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads one policy file (YAML or JSON), strictly. name is used in origins
// and errors. The error is a *LoadError that names every problem with its line.
func Load(name string, data []byte) (*Set, error) {
	text, lists := cutLongLists(data)
	l := &loader{name: name, file: newFile(), lists: lists}
	l.read(text)
	if l.found != len(lists) {
		l = &loader{name: name, file: newFile()}
		l.read(data)
	}
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &LoadError{Problems: l.problems}
	}
	sum := sha256.Sum256(data)
	l.file.loadedHash = hex.EncodeToString(sum[:])[:16]
	return compile(l.file), nil
}

// compile indexes what a file says.
func compile(f *file) *Set {
	s := &Set{version: f.loadedHash, file: f, tables: map[Section]*contestTable{}, managed: map[string]map[string]ManagedEntry{}, autoSent: map[string]map[string]time.Time{},
		strangers: strangersOf(f), lacking: namesOfMost(), walks: &walkPool{}, outcomes: []mail.Outcome{mail.Accepted, mail.Rejected, mail.Deferred, mail.Held, mail.Bounced, mail.Discarded}}
	s.book = newAddressBook(f)
	addDefaultPolicies(f)
	for section, policies := range f.policies {
		s.tables[section] = newContestTable(section, policies, s.book, &f.engine)
	}
	for _, e := range f.managed {
		recipient := string(mail.Path(e.Recipient).Fold())
		if s.managed[recipient] == nil {
			s.managed[recipient] = map[string]ManagedEntry{}
		}
		s.managed[recipient][foldMember(e.Sender)] = e
	}
	for _, a := range f.autoAllow {
		if s.autoSent[a.internal] == nil {
			s.autoSent[a.internal] = map[string]time.Time{}
		}
		s.autoSent[a.internal][a.external] = a.lastSent
	}
	return s
}

type loader struct {
	name     string
	file     *file
	problems []Problem
	ids      map[string]int // line of each policy id

	externals int // external to external policies seen

	lists []wordList // cut out of the text
	found int        // of which turned up as members of a group
}

func (l *loader) problem(n *yaml.Node, format string, args ...any) {
	line := 1
	if n != nil {
		line = max(n.Line, 1)
	}
	l.problems = append(l.problems, Problem{File: l.name, Line: line, Sentence: fmt.Sprintf(format, args...)})
}

func (l *loader) read(data []byte) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	err := decoder.Decode(&root)
	switch {
	case errors.Is(err, io.EOF) || err == nil && null(root.Content[0]):
		l.problem(nil, "the file is empty: it needs at least version: 1")
		return
	case err != nil:
		l.syntax(data, err)
		return
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		l.problem(&second, "a second document stands in the file: one is allowed")
		return
	case !errors.Is(err, io.EOF):
		l.syntax(data, err)
		return
	}
	top := l.mapping(root.Content[0], "the policy file", "version", "internal_domains", "authorised_outbound", "free_mail_domains", "groups",
		"blocked_senders", "permitted_senders", "managed_senders", "auto_allow", "anti_spoofing", "anti_spoofing_spf_bypass", "greylisting",
		"dns_authentication", "reputation", "content_examination", "attributes", "known", "defaults", "engine", "access")
	if top == nil {
		return
	}
	for key, v := range top {
		if null(v) {
			delete(top, key) // a key without a value says nothing
		}
	}
	if v := top["version"]; v == nil {
		l.problem(root.Content[0], "version is missing: it must be 1")
	} else if v.Value != "1" {
		l.problem(v, "version %s is not known: it must be 1", quote(v.Value))
	}
	l.ids = map[string]int{}
	l.readEngine(top["engine"]) // first: dates need its time zone
	l.readDomains(top)
	l.readGroups(top["groups"])
	l.readDefaults(top["defaults"])
	for _, s := range sections {
		l.readSection(s, top[string(s)])
	}
	l.readManaged(top["managed_senders"])
	l.readSiteRules(top["access"])
	l.readAutoAllow(top["auto_allow"])
	l.readAttributes(top["attributes"])
	l.readKnown(top["known"])
}

// syntax turns the YAML library's error into a line and a sentence.
func (l *loader) syntax(data []byte, err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := unreadableLine(data)
	if n, scanErr := fmt.Sscanf(text, "line %d:", &line); n == 1 && scanErr == nil {
		_, text, _ = strings.Cut(text, ": ")
	}
	l.problems = append(l.problems, Problem{File: l.name, Line: line, Sentence: "this is not YAML: " + strings.ReplaceAll(text, "\n", " ")})
}

// unreadableLine is the line of the first byte that no text holds, which the
// library does not tell; 1 without any.
func unreadableLine(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 || r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f {
			return 1 + bytes.Count(data[:i], []byte("\n"))
		}
		i += size
	}
	return 1
}

// mapping returns the values of a mapping by key; unknown and repeated keys
// are problems. nil when the node is no mapping (also a problem) or absent.
func (l *loader) mapping(n *yaml.Node, what string, allowed ...string) map[string]*yaml.Node {
	n = resolve(n)
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		l.problem(n, "%s must be keys with values", what)
		return nil
	}
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := resolve(n.Content[i]), resolve(n.Content[i+1])
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
			l.problem(k, "a key of %s is not a word (merge keys are not read)", what)
		case len(allowed) > 0 && !slices.Contains(allowed, k.Value):
			l.problem(k, "unknown key %s in %s", quote(k.Value), what)
		case values[k.Value] != nil:
			l.problem(k, "key %s stands twice in %s", quote(k.Value), what)
		default:
			values[k.Value] = v
		}
	}
	return values
}

func (l *loader) sequence(n *yaml.Node, what string) []*yaml.Node {
	n = resolve(n)
	if n == nil || null(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		l.problem(n, "%s must be a list", what)
		return nil
	}
	items := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		items[i] = resolve(item)
	}
	return items
}

func (l *loader) text(n *yaml.Node, what string) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		l.problem(n, "%s must be one value", what)
		return ""
	}
	if null(n) {
		return ""
	}
	return n.Value
}

func (l *loader) boolean(n *yaml.Node, what string, absent bool) bool {
	if n == nil {
		return absent
	}
	var b bool
	if n.Kind != yaml.ScalarNode || n.Decode(&b) != nil || n.Tag != "!!bool" {
		l.problem(n, "%s must be true or false, not %s", what, quote(n.Value))
		return absent
	}
	return b
}

func resolve(n *yaml.Node) *yaml.Node {
	for depth := 0; n != nil && n.Kind == yaml.AliasNode && depth < 10; depth++ {
		n = n.Alias
	}
	return n
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func quote(s string) string {
	if len(s) > 80 {
		s = s[:80]
	}
	return fmt.Sprintf("%q", s)
}

func (l *loader) prefixes(n *yaml.Node, what string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, item := range l.sequence(n, what) {
		text := l.text(item, what)
		p, err := parsePrefix(text)
		if err != nil {
			l.problem(item, "%s: %s is not an IP range such as 192.0.2.0/24", what, quote(text))
			continue
		}
		prefixes = append(prefixes, p)
	}
	return prefixes
}

// parsePrefix reads a CIDR or one address; IPv4-mapped IPv6 counts as IPv4.
func parsePrefix(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("address %q", text)
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// date reads an instant or a day; days start at midnight in the set's zone.
// For an end, the instant after the last one meant is returned.
func (l *loader) date(n *yaml.Node, what string, end bool) time.Time {
	text := l.text(n, what)
	if text == "" {
		if n != nil {
			l.problem(n, "%s has no date", what)
		}
		return time.Time{}
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, l.file.engine.Location); err == nil {
		if end {
			return day.AddDate(0, 0, 1)
		}
		return day
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		l.problem(n, "%s: %s is not a date: write 2026-11-23 or 2026-11-23T10:00:00Z", what, quote(text))
		return time.Time{}
	}
	if end {
		return at.Add(time.Nanosecond)
	}
	return at
}
