package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"mailwhy/engine/mail"
)

// section looks at the policies of one section as the file has them.
func (l *linter) section(section Section) {
	policies := l.set.file.policies[section]
	same := map[string][]*Policy{}
	for i := range policies {
		p := &policies[i]
		if p.Origin == "default" {
			continue
		}
		l.state(p)
		l.breadth(p)
		l.narrative(p)
		key := alikeKey(p)
		l.twins(p, same[key])
		same[key] = append(same[key], p)
		if !p.Disabled && !l.over(p) {
			l.beaten(p, policies)
			l.reach(p)
			l.permit(p)
			l.hits(p)
			l.nearMiss(p)
		}
	}
}

func (l *linter) over(p *Policy) bool { return !p.Until.IsZero() && !p.Until.After(l.now) }

// state: what is no longer in force.
func (l *linter) state(p *Policy) {
	switch {
	case p.Disabled:
		l.find(LintDisabled, p, "it is disabled and decides nothing", "delete it, or enable it if it was switched off by mistake")
	case l.over(p):
		l.find(LintExpired, p, "it ended at "+p.Until.UTC().Format("2006-01-02 15:04 MST"), "delete it, or give it a new to_date")
	}
}

// breadth: whom it is for. The article's "Preventing Accidental Email Deletion"
// asks for policies that name groups, and for Hold instead of delete or bounce.
func (l *linter) breadth(p *Policy) {
	content := p.Section == SectionContentExamination
	switch {
	case p.From.Type == Everyone && p.To.Type == Everyone:
		l.find(LintTooBroad, p, fmt.Sprintf("%s applies to all mail, from everyone to everyone", p.Option), "name the senders or the recipients it is for")
	case p.From.Type == ExternalAddresses && p.To.Type == InternalAddresses && p.Option == OptionBlockSender && len(p.SourceIPs) == 0:
		l.find(LintTooBroad, p, "it blocks all mail from outside", "name the senders it is for")
	case p.From.Type == Everyone && (content || len(p.SourceIPs) == 0):
		l.find(LintEveryone, p, "it applies to every sender", "name a group or a domain in from")
	case p.To.Type == Everyone && content:
		l.find(LintEveryone, p, "it applies to every recipient", "name a group in to")
	}
	if content && (p.Option == "delete" || p.Option == "bounce") {
		l.find(LintDeletes, p, fmt.Sprintf("its action is %s: what it matches by mistake is lost", p.Option), "use hold, so that an administrator can review it")
	}
}

// narrative: which request it came from.
func (l *linter) narrative(p *Policy) {
	switch {
	case strings.TrimSpace(p.Description) == "":
		l.find(LintWithoutTicket, p, "it has no narrative, so nobody knows what it is for", "write why it exists and the ticket into description")
	case !namesTicket(p.Description):
		l.find(LintWithoutTicket, p, fmt.Sprintf("its narrative %q names no ticket", p.Description), "add the ticket it came from to description")
	}
}

// namesTicket reports whether a word of a narrative could be a ticket: two
// digits or more, or digits after # or -.
func namesTicket(narrative string) bool {
	for word := range strings.FieldsFuncSeq(narrative, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("()[],;:", r) }) {
		digits := strings.Count(strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return '0'
			}
			return r
		}, word), "0")
		if digits >= 2 || digits == 1 && strings.ContainsAny(word, "#-") {
			return true
		}
	}
	return false
}

// alikeKey is what policies for the same mail have in common.
func alikeKey(p *Policy) string {
	return fmt.Sprint(p.FromPart, p.From.folded(), p.To.folded(), p.Override, p.Bidirectional, p.SourceIPs)
}

// twins: another entry for the same mail.
func (l *linter) twins(p *Policy, before []*Policy) {
	if p.Disabled || l.over(p) || p.Section == SectionContentExamination {
		return
	}
	for _, q := range before {
		switch {
		case q.Disabled || l.over(q):
		case q.Option == p.Option:
			l.find(LintDuplicate, p, fmt.Sprintf("it says the same as %s (%s)", q.ID, q.Origin), "keep one of the two")
			return
		default:
			l.find(LintConflicting, p, fmt.Sprintf("it ties with %s (%s), which says %s for the same mail: the cautious option wins", q.ID, q.Origin, q.Option), "delete one of the two, or give one Policy Override")
			return
		}
	}
}

// beaten: a policy for all of its mail that always outranks it.
func (l *linter) beaten(p *Policy, policies []Policy) {
	if p.Section == SectionContentExamination { // cumulative
		return
	}
	rank := rankOf(p, p.From, p.To, &l.set.file.engine).weight(l.set.file.engine.ToFirst)
	for i := range policies {
		q := &policies[i]
		if q == p || q.Disabled || !l.outlasts(q, p) || rankOf(q, q.From, q.To, &l.set.file.engine).weight(l.set.file.engine.ToFirst) <= rank {
			continue
		}
		if len(q.SourceIPs) > 0 || p.Bidirectional && !q.Bidirectional || q.FromPart != p.FromPart && q.FromPart != BothFrom {
			continue
		}
		if l.covers(q.From, p.From) && l.covers(q.To, p.To) {
			l.find(LintShadowed, p, fmt.Sprintf("%s (%s) matches all of its mail and always wins with %s", q.ID, q.Origin, q.Option), "delete it, or make it outrank the other: Policy Override, or a more specific from")
			return
		}
	}
}

// outlasts reports whether q is in force whenever p still is.
func (l *linter) outlasts(q, p *Policy) bool {
	return (q.Since.IsZero() || !q.Since.After(l.now)) && (q.Until.IsZero() || !p.Until.IsZero() && !q.Until.Before(p.Until))
}

// reach: sides that nothing can satisfy.
func (l *linter) reach(p *Policy) {
	for _, side := range []struct {
		name string
		spec Spec
	}{{"from", p.From}, {"to", p.To}} {
		switch s := side.spec; {
		case s.Type == ProfileGroup && len(l.set.file.groups[s.Value]) == 0:
			l.find(LintUnreachable, p, fmt.Sprintf("%s is the group %s, which is empty", side.name, s.Value), "fill the group, or delete the policy")
		case s.Type == FreeMailDomains && len(l.set.file.freeMail) == 0:
			l.find(LintUnreachable, p, "free_mail_domains is empty", "list the domains, or delete the policy")
		case s.Type == InternalAddresses && len(l.set.file.internal) == 0:
			l.find(LintUnreachable, p, "internal_domains is empty, so no address is internal", "list the internal domains")
		case s.Type == AddressAttributeValue && len(l.samples(s)) == 0:
			l.find(LintUnreachable, p, fmt.Sprintf("no address has the attribute value %s", s.Value), "fill in attributes, or delete the policy")
		}
	}
	inboundOnly := p.Section == SectionPermittedSenders || p.Section == SectionAntiSpoofing || p.Section == SectionGreylisting
	if inboundOnly && !p.Bidirectional && l.outside(p.To) {
		l.find(LintUnreachable, p, "its recipients are outside, and this kind of policy applies to inbound mail only", "delete it, or correct its to")
	}
}

// outside reports whether a spec names outside addresses alone.
func (l *linter) outside(s Spec) bool {
	switch s.Type {
	case ExternalAddresses, FreeMailDomains:
		return true
	case IndividualAddress, EmailDomain, ProfileGroup:
		samples := l.samples(s)
		return len(samples) > 0 && !slices.ContainsFunc(samples, l.set.Internal)
	}
	return false
}

// permit: a Permitted Senders policy whose mail is blocked before.
func (l *linter) permit(p *Policy) {
	if p.Section != SectionPermittedSenders || p.Option != OptionPermitSender || p.From.Type == HeaderDisplayName {
		return
	}
	senders, recipients := l.samples(p.From), l.recipients(p.To)
	if len(senders) == 0 || len(recipients) == 0 || len(senders)*len(recipients) > mostSamples {
		return
	}
	block := ""
	for _, sender := range senders {
		for _, recipient := range recipients {
			if block = l.blockOf(sender, recipient); block == "" {
				return
			}
		}
	}
	l.find(LintPermitUseless, p, fmt.Sprintf("Blocked Senders %s blocks all of its mail and is decided first", block), "make a Take No Action policy of Blocked Senders instead, or end the block")
}

// blockOf is the Blocked Senders policy that stops mail of one address to
// another.
func (l *linter) blockOf(sender, recipient mail.Path) string {
	m := mail.Message{EnvelopeFrom: sender, HeaderFrom: sender, HeaderFromName: "-", Recipient: recipient, Client: mail.Client{IP: "192.0.2.255"}}
	if v := Decide(l.set, &m, l.now); v.Outcome != nil && v.Stage == StageBlockedSenders {
		return v.Policy
	}
	return ""
}

// mostSamples is how many addresses that satisfy a spec are looked at.
const mostSamples = 4096

// samples are addresses that satisfy a spec; one more than mostSamples when
// there are too many.
func (l *linter) samples(s Spec) []mail.Path {
	var each []mail.Path
	for a := range l.set.samples(s.folded()) {
		if each = append(each, a); len(each) > mostSamples {
			break
		}
	}
	return each
}

// recipients are addresses that stand for a to side.
func (l *linter) recipients(to Spec) []mail.Path {
	if to.Type != Everyone && to.Type != InternalAddresses {
		return l.samples(to)
	}
	var each []mail.Path
	for _, domain := range l.set.InternalDomains() {
		each = append(each, mail.Path("someone@"+domain))
	}
	return each
}

func (l *linter) hits(p *Policy) {
	if l.usage == nil || p.Section != SectionBlockedSenders && p.Section != SectionAntiSpoofing && p.Section != SectionPermittedSenders || l.usage.Policies[p.ID].Hits > 0 {
		return
	}
	days := int(l.now.Sub(l.usage.Since) / (24 * time.Hour))
	l.find(LintWithoutHits, p, fmt.Sprintf("no message of the last %d days was decided by it", days), "ask whether it is needed still")
}

// nearMiss: a domain does not cover the hosts below it, a wildcard exactly one
// more label.
func (l *linter) nearMiss(p *Policy) {
	if l.usage == nil || p.From.Type != EmailDomain {
		return
	}
	domain := p.From.folded().Value
	apex := strings.TrimPrefix(domain, "*.")
	for _, seen := range slices.Sorted(maps.Keys(l.usage.Domains)) {
		if seen != apex && !strings.HasSuffix(seen, "."+apex) || l.set.matches(p.From, mail.Path("someone@"+seen), "", false, l.now) {
			continue
		}
		l.find(LintNearMiss, p, fmt.Sprintf("its from %s does not cover %s: %d messages came from there", domain, seen, l.usage.Domains[seen]),
			fmt.Sprintf("make a policy for %s if it is meant too", seen))
		return
	}
}

// covers reports whether every address that satisfies the narrower spec
// satisfies the wider one too.
func (l *linter) covers(wider, narrower Spec) bool {
	wider, narrower = wider.folded(), narrower.folded()
	if wider == narrower || wider.Type == Everyone {
		return true
	}
	switch narrower.Type {
	case IndividualAddress, EmailDomain, ProfileGroup:
	default:
		return wider.Type == ExternalAddresses && narrower.Type == FreeMailDomains
	}
	if wider.Type == IndividualAddress || wider.Type == AddressAttributeValue || wider.Type == HeaderDisplayName {
		return false
	}
	if narrower.Type == EmailDomain && (wider.Type == ProfileGroup && strings.HasPrefix(narrower.Value, "*.")) {
		return false
	}
	samples := l.samples(narrower)
	return len(samples) > 0 && len(samples) <= mostSamples && !slices.ContainsFunc(samples, func(a mail.Path) bool {
		return !l.set.matches(wider, a, "", false, l.now)
	})
}
