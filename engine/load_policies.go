package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mailwhy/engine/mail"
)

// sections in the order in which the policy file lists them.
var sections = []Section{SectionBlockedSenders, SectionPermittedSenders, SectionAntiSpoofing, SectionAntiSpoofingSPF, SectionGreylisting, SectionDNSAuthentication, SectionReputation, SectionContentExamination}

// options of each section; the first is the default, "" none.
var options = map[Section][]string{
	SectionBlockedSenders:     {"", OptionBlockSender, OptionNoAction},
	SectionPermittedSenders:   {"", OptionPermitSender, OptionNoAction},
	SectionAntiSpoofing:       {"", OptionApply, OptionNoAction},
	SectionGreylisting:        {"", OptionApply, OptionNoAction},
	SectionReputation:         {"", OptionApply, OptionNoAction},
	SectionContentExamination: {"", "hold", "bounce", "delete", "none"},
}

var commonKeys = []string{"id", "description", "from_part", "from", "to", "override", "bidirectional", "enabled", "from_date", "to_date", "source_ips"}

var extraKeys = map[Section][]string{
	SectionBlockedSenders:     {"option"},
	SectionPermittedSenders:   {"option"},
	SectionAntiSpoofing:       {"option"},
	SectionAntiSpoofingSPF:    {"spf_domains"},
	SectionGreylisting:        {"option"},
	SectionDNSAuthentication:  {"spf", "dkim", "dmarc"},
	SectionReputation:         {"option", "hits"},
	SectionContentExamination: {"action", "pattern", "part"},
}

func (l *loader) readSection(section Section, n *yaml.Node) {
	for _, item := range l.sequence(n, string(section)) {
		f := l.mapping(item, "a "+string(section)+" entry", append(slices.Clone(commonKeys), extraKeys[section]...)...)
		if f == nil {
			continue
		}
		before := len(l.problems)
		p := l.readPolicy(section, item, f)
		if len(l.problems) == before {
			l.file.policies[section] = append(l.file.policies[section], p)
		}
	}
}

func (l *loader) readPolicy(section Section, item *yaml.Node, f map[string]*yaml.Node) Policy {
	p := Policy{Section: section, ID: l.text(f["id"], "id"), Description: l.text(f["description"], "description"), Origin: l.origin(item)}
	l.checkID(item, f["id"], p.ID)
	what := string(section) + " entry"
	if p.ID != "" {
		what = "policy " + p.ID
	}
	p.Option = l.readOption(&p, what, item, f)
	p.FromPart = FromPart(l.choice(f["from_part"], "from_part", string(EnvelopeFrom), string(HeaderFrom), string(BothFrom)))
	p.From, p.To = l.readSpec(what, "from", item, f["from"]), l.readSpec(what, "to", item, f["to"])
	p.Override = l.boolean(f["override"], "override", false)
	p.Bidirectional = l.boolean(f["bidirectional"], "bidirectional", false)
	p.Disabled = !l.boolean(f["enabled"], "enabled", true)
	p.Since = l.date(f["from_date"], "from_date", false)
	p.Until = l.date(f["to_date"], "to_date", true)
	p.SourceIPs = l.prefixes(f["source_ips"], "source_ips")
	if f["source_ips"] != nil && len(p.SourceIPs) == 0 && resolve(f["source_ips"]).Kind == yaml.SequenceNode && len(f["source_ips"].Content) == 0 {
		l.problem(f["source_ips"], "source_ips of %s is empty: leave it out for any client", what)
	}
	l.checkPolicy(what, item, f, &p)
	return p
}

func (l *loader) checkPolicy(what string, item *yaml.Node, f map[string]*yaml.Node, p *Policy) {
	if !p.Since.IsZero() && !p.Until.IsZero() && !p.Since.Before(p.Until) {
		l.problem(f["to_date"], "to_date of %s lies before its from_date", what)
	}
	if p.To.Type == HeaderDisplayName {
		l.problem(f["to"], "header_display_name of %s goes with from only", what)
	}
	if p.From.Type == HeaderDisplayName && p.FromPart == EnvelopeFrom {
		l.problem(f["from"], "header_display_name of %s needs from_part: header_from", what)
	}
	if p.Section == SectionBlockedSenders && p.From.Type == ExternalAddresses && p.To.Type == ExternalAddresses {
		if l.externals++; l.externals > 1 || l.file.defaults.externalToExternal {
			l.problem(item, "%s is a second external to external policy: one is allowed, and the default one counts; use the Relay group", what)
		}
	}
}

func (l *loader) checkID(item, n *yaml.Node, id string) {
	switch first, taken := l.ids[id]; {
	case id == "":
		l.problem(orNode(n, item), "id is missing")
	case taken:
		l.problem(n, "id %s is already taken at line %d", quote(id), first)
	case l.reservedID(id):
		l.problem(n, "id %s is already taken: it is that of a default policy or of a managed_senders entry", quote(id))
	default:
		l.ids[id] = n.Line
	}
}

// reservedID reports whether verdicts name something else by an id.
func (l *loader) reservedID(id string) bool {
	switch id {
	case DefaultExternalToExternal, DefaultRelay, DefaultRelaySenders, DefaultBlockedSenders:
		return true
	}
	return strings.HasPrefix(id, DefaultAntiSpoofing+":") || strings.HasPrefix(id, "managed:")
}

// readOption reads what a section's policies have beside the common fields.
func (l *loader) readOption(p *Policy, what string, item *yaml.Node, f map[string]*yaml.Node) string {
	key := "option"
	switch p.Section {
	case SectionAntiSpoofingSPF:
		p.SPFBypass.Domains = l.domains(f["spf_domains"], "spf_domains")
		if len(l.sequence(f["spf_domains"], "spf_domains")) == 0 {
			l.problem(orNode(f["spf_domains"], item), "spf_domains of %s is missing", what)
		}
		return OptionNoAction
	case SectionDNSAuthentication:
		check := func(name string) DNSAction {
			return DNSAction(l.choice(f[name], name+" of "+what, string(DNSNone), string(DNSIgnorePermits), string(DNSReject), string(DNSHonour)))
		}
		p.DNS = DNSChecks{SPF: check("spf"), DKIM: check("dkim"), DMARC: check("dmarc")}
		return OptionApply
	case SectionContentExamination:
		key = "action"
		p.Content = ContentRule{Pattern: l.text(f["pattern"], "pattern"), Part: l.text(f["part"], "part")}
	case SectionReputation:
		p.Reputation.Hits = l.readHits(f["hits"], what)
	}
	if f[key] == nil {
		l.problem(item, "%s of %s is missing", key, what)
		return ""
	}
	return l.choice(f[key], key+" of "+what, options[p.Section][1:]...)
}

func (l *loader) readHits(n *yaml.Node, what string) int {
	hits := 1
	if n != nil && (n.Kind != yaml.ScalarNode || n.Tag != "!!int" || n.Decode(&hits) != nil || hits < 1) {
		l.problem(n, "hits of %s must be a whole number from 1", what)
	}
	return hits
}

var specTakesValue = map[SpecType]bool{
	Everyone: false, InternalAddresses: false, ExternalAddresses: false, FreeMailDomains: false,
	EmailDomain: true, ProfileGroup: true, AddressAttributeValue: true, HeaderDisplayName: true, IndividualAddress: true,
}

func (l *loader) readSpec(what, side string, item, n *yaml.Node) Spec {
	if n == nil || null(n) {
		l.problem(orNode(n, item), "%s of %s is missing", side, what)
		return Spec{}
	}
	f := l.mapping(n, side+" of "+what, "type", "value")
	if f == nil {
		return Spec{}
	}
	s := Spec{Type: SpecType(l.text(f["type"], "type")), Value: l.text(f["value"], "value")}
	takesValue, known := specTakesValue[s.Type]
	switch {
	case f["type"] == nil:
		l.problem(n, "%s of %s has no type", side, what)
	case !known:
		l.problem(f["type"], "unknown type %s in %s of %s", quote(string(s.Type)), side, what)
	case takesValue && strings.TrimSpace(s.Value) == "":
		l.problem(n, "%s of %s has type %s without a value", side, what, s.Type)
	case !takesValue && s.Value != "":
		l.problem(f["value"], "%s of %s has a value, but type %s takes none", side, what, s.Type)
	default:
		l.checkValue(side+" of "+what, f["value"], s)
	}
	return s
}

func (l *loader) checkValue(what string, n *yaml.Node, s Spec) {
	switch s.Type {
	case EmailDomain:
		if !validDomain(strings.TrimPrefix(s.Value, "*.")) {
			l.problem(n, "%s: %s is not a domain (the only wildcard is a leading *., for exactly one label)", what, quote(s.Value))
		}
	case IndividualAddress:
		if !validAddress(s.Value) {
			l.problem(n, "%s: %s is not one address (no wildcards)", what, quote(s.Value))
		}
	case ProfileGroup:
		if _, ok := l.file.groups[s.Value]; !ok && s.Value != groupRelay && s.Value != groupBlockedSenders {
			l.problem(n, "%s: unknown group %s", what, quote(s.Value))
		}
	}
}

func (l *loader) origin(n *yaml.Node) string { return fmt.Sprintf("%s:%d", l.name, n.Line) }

// The groups that the default policies name.
const (
	groupRelay          = "Relay"
	groupBlockedSenders = "Blocked Senders"
)

// Ids of the default policies.
const (
	DefaultExternalToExternal = "default-external-to-external"
	DefaultRelay              = "default-relay"
	DefaultRelaySenders       = "default-relay-senders"
	DefaultBlockedSenders     = "default-blocked-senders"
	DefaultAntiSpoofing       = "default-anti-spoofing" // with the domain: default-anti-spoofing:corp.example
)

// addDefaultPolicies adds what every account has and no administrator can edit.
func addDefaultPolicies(f *file) {
	add := func(on bool, id, description, option string, section Section, part FromPart, from, to Spec) {
		if on {
			f.policies[section] = append(f.policies[section], Policy{Section: section, ID: id, Description: description, Option: option, FromPart: part, From: from, To: to, Origin: "default"})
		}
	}
	external, internal := Spec{Type: ExternalAddresses}, Spec{Type: InternalAddresses}
	relay := Spec{Type: ProfileGroup, Value: groupRelay}
	add(f.defaults.externalToExternal, DefaultExternalToExternal, "No relaying from outside to outside", OptionBlockSender, SectionBlockedSenders, EnvelopeFrom, external, external)
	add(f.defaults.relay, DefaultRelay, "Addresses that mail may be relayed to", OptionNoAction, SectionBlockedSenders, EnvelopeFrom, external, relay)
	add(f.defaults.relay && f.defaults.relayListsSenders, DefaultRelaySenders, "Addresses that may relay", OptionNoAction, SectionBlockedSenders, EnvelopeFrom, relay, external)
	add(f.defaults.blockedSenders, DefaultBlockedSenders, "Group Blocked Senders", OptionBlockSender, SectionBlockedSenders, EnvelopeFrom, Spec{Type: ProfileGroup, Value: groupBlockedSenders}, internal)
	for _, domain := range sortedKeys(f.internal) {
		add(f.defaults.antiSpoofing, DefaultAntiSpoofing+":"+domain, "Nobody outside sends as "+domain, OptionApply, SectionAntiSpoofing, BothFrom, Spec{Type: EmailDomain, Value: mail.FoldDomain(domain)}, internal)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
