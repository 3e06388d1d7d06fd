package engine

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"mailwhy/engine/mail"
)

func newFile() *file {
	return &file{
		internal: map[string]bool{}, freeMail: map[string]bool{}, groups: map[string][]string{},
		policies: map[Section][]Policy{},
		known:    known{partial: map[string]bool{}},
		defaults: defaults{externalToExternal: true, relay: true, blockedSenders: true, antiSpoofing: true},
		engine:   Assumptions{Specificity: slices.Clone(defaultSpecificity), Order: defaultOrder(), Location: time.UTC, Propagation: 5 * time.Minute},
	}
}

var defaultSpecificity = []SpecType{Everyone, InternalAddresses, ExternalAddresses, FreeMailDomains, EmailDomain, ProfileGroup, AddressAttributeValue, HeaderDisplayName, IndividualAddress}

// builtinFreeMail is used when the file lists no free_mail_domains.
var builtinFreeMail = []string{"aol.com", "gmail.com", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com", "icloud.com", "live.com", "mail.com", "mail.ru", "me.com", "msn.com", "outlook.com", "proton.me", "protonmail.com", "qq.com", "t-online.de", "web.de", "yahoo.com", "yandex.com", "yandex.ru", "zoho.com"}

func (l *loader) readDomains(top map[string]*yaml.Node) {
	for _, d := range l.domains(top["internal_domains"], "internal_domains") {
		l.file.internal[d] = true
	}
	l.file.outbound = l.prefixes(top["authorised_outbound"], "authorised_outbound")
	free := builtinFreeMail
	if top["free_mail_domains"] != nil {
		free = l.domains(top["free_mail_domains"], "free_mail_domains")
	}
	for _, d := range free {
		l.file.freeMail[d] = true
	}
}

func (l *loader) domains(n *yaml.Node, what string) []string {
	var domains []string
	for _, item := range l.sequence(n, what) {
		text := l.text(item, what)
		if !validDomain(text) {
			l.problem(item, "%s: %s is not a domain", what, quote(text))
			continue
		}
		domains = append(domains, mail.FoldDomain(text))
	}
	return domains
}

func (l *loader) readManaged(n *yaml.Node) {
	seen := map[[2]string]int{}
	for _, item := range l.sequence(n, "managed_senders") {
		f := l.mapping(item, "a managed_senders entry", "recipient", "sender", "action")
		if f == nil {
			continue
		}
		recipient, sender, action := l.text(f["recipient"], "recipient"), l.text(f["sender"], "sender"), l.text(f["action"], "action")
		switch {
		case !validAddress(recipient):
			l.problem(orNode(f["recipient"], item), "recipient %s of a managed_senders entry is not an address", quote(recipient))
		case !validAddress(sender) && !validDomain(sender):
			l.problem(orNode(f["sender"], item), "sender %s of a managed_senders entry is neither an address nor a domain", quote(sender))
		case action != "permit" && action != "block":
			l.problem(orNode(f["action"], item), "action %s of a managed_senders entry is not permit or block", quote(action))
		default:
			pair := [2]string{string(mail.Path(recipient).Fold()), foldMember(sender)}
			if first := seen[pair]; first != 0 {
				l.problem(item, "%s and %s stand a second time in managed_senders (first at line %d)", pair[0], pair[1], first)
				continue
			}
			seen[pair] = item.Line
			l.file.managed = append(l.file.managed, ManagedEntry{Recipient: pair[0], Sender: pair[1], Action: action, Origin: l.origin(item)})
		}
	}
}

func (l *loader) readAutoAllow(n *yaml.Node) {
	for _, item := range l.sequence(n, "auto_allow") {
		f := l.mapping(item, "an auto_allow entry", "internal", "external", "last_sent")
		if f == nil {
			continue
		}
		internal, external := l.text(f["internal"], "internal"), l.text(f["external"], "external")
		for key, text := range map[string]string{"internal": internal, "external": external} {
			if !validAddress(text) {
				l.problem(orNode(f[key], item), "%s %s of an auto_allow entry is not an address", key, quote(text))
			}
		}
		if f["last_sent"] == nil {
			l.problem(item, "last_sent is missing in an auto_allow entry")
			continue
		}
		l.file.autoAllow = append(l.file.autoAllow, autoAllow{internal: string(mail.Path(internal).Fold()), external: string(mail.Path(external).Fold()), lastSent: l.date(f["last_sent"], "last_sent", false)})
	}
}

func (l *loader) readAttributes(n *yaml.Node) {
	for _, item := range l.sequence(n, "attributes") {
		f := l.mapping(item, "an attributes entry", "address", "name", "value")
		if f == nil {
			continue
		}
		a := attribute{address: l.text(f["address"], "address"), name: l.text(f["name"], "name"), value: l.text(f["value"], "value")}
		if !validAddress(a.address) {
			l.problem(orNode(f["address"], item), "address %s of an attributes entry is not an address", quote(a.address))
			continue
		}
		if a.name == "" || a.value == "" {
			l.problem(item, "an attributes entry needs a name and a value")
			continue
		}
		a.address = string(mail.Path(a.address).Fold())
		l.file.attributes = append(l.file.attributes, a)
	}
}

func (l *loader) readKnown(n *yaml.Node) {
	keys := []string{"groups", "managed_senders", "auto_allow", "attributes", "as_of"}
	for _, s := range sections {
		keys = append(keys, string(s))
	}
	for key, v := range l.mapping(n, "known", keys...) {
		if key == "as_of" {
			l.file.known.asOf = l.date(v, "as_of", false)
			continue
		}
		switch l.text(v, key) {
		case "all":
		case "partial":
			l.file.known.partial[key] = true
		default:
			l.problem(v, "known %s must be all or partial, not %s", key, quote(v.Value))
		}
	}
}

func (l *loader) readDefaults(n *yaml.Node) {
	f := l.mapping(n, "defaults", "external_to_external", "relay", "blocked_senders", "anti_spoofing", "relay_lists_senders")
	d := &l.file.defaults
	d.externalToExternal = l.boolean(f["external_to_external"], "external_to_external", true)
	d.relay = l.boolean(f["relay"], "relay", true)
	d.blockedSenders = l.boolean(f["blocked_senders"], "blocked_senders", true)
	d.antiSpoofing = l.boolean(f["anti_spoofing"], "anti_spoofing", true)
	d.relayListsSenders = l.boolean(f["relay_lists_senders"], "relay_lists_senders", false)
}

func (l *loader) readEngine(n *yaml.Node) {
	f := l.mapping(n, "engine", "specificity", "order", "compare", "tie", "data_contest", "time_zone", "propagation")
	a := &l.file.engine
	if v := f["specificity"]; v != nil {
		l.readSpecificity(v)
	}
	if v := f["order"]; v != nil {
		l.readOrder(v)
	}
	a.ToFirst = l.choice(f["compare"], "compare", "from_first", "to_first") == "to_first"
	a.HeaderOnly = l.choice(f["data_contest"], "data_contest", "all", "header") == "header"
	l.choice(f["tie"], "tie", "cautious")
	if v := f["time_zone"]; v != nil {
		zone, err := time.LoadLocation(l.text(v, "time_zone"))
		if err != nil || v.Value == "" {
			l.problem(v, "time_zone %s is not known: write a name such as Europe/Zurich", quote(v.Value))
		} else {
			a.Location = zone
		}
	}
	if v := f["propagation"]; v != nil {
		d, err := time.ParseDuration(l.text(v, "propagation"))
		if err != nil || d < 0 {
			l.problem(v, "propagation %s is not a duration such as 5m", quote(v.Value))
		} else {
			a.Propagation = d
		}
	}
}

func (l *loader) readSpecificity(n *yaml.Node) {
	var order []SpecType
	for _, item := range l.sequence(n, "specificity") {
		t := SpecType(l.text(item, "specificity"))
		switch {
		case !slices.Contains(defaultSpecificity, t):
			l.problem(item, "unknown type %s in specificity", quote(string(t)))
		case slices.Contains(order, t):
			l.problem(item, "type %s stands twice in specificity", quote(string(t)))
		default:
			order = append(order, t)
		}
	}
	if len(order) != len(defaultSpecificity) {
		l.problem(n, "specificity must list each of the %d types once, lowest to highest", len(defaultSpecificity))
		return
	}
	l.file.engine.Specificity = order
}

// readOrder reads the order of the stages at each moment; a moment left out
// keeps its default.
func (l *loader) readOrder(n *yaml.Node) {
	var names []string
	for _, m := range moments {
		names = append(names, string(m))
	}
	f := l.mapping(n, "order", names...)
	var order []Slot
	for _, moment := range moments {
		stages := stagesAt[moment]
		if v := f[string(moment)]; v != nil {
			stages = nil
			for _, item := range l.sequence(v, "order of "+string(moment)) {
				stages = append(stages, Stage(l.text(item, "order of "+string(moment))))
			}
			if !slices.Equal(slices.Sorted(slices.Values(stages)), slices.Sorted(slices.Values(stagesAt[moment]))) {
				l.problem(v, "order of %s must list each of its stages once: %v", moment, stagesAt[moment])
			}
		}
		for _, stage := range stages {
			order = append(order, Slot{stage, moment})
		}
	}
	l.file.engine.Order = order
}

// choice reads one of the allowed words; the first is the default.
func (l *loader) choice(n *yaml.Node, what string, allowed ...string) string {
	if n == nil {
		return allowed[0]
	}
	text := l.text(n, what)
	if !slices.Contains(allowed, text) {
		l.problem(n, "%s must be %s, not %s", what, strings.Join(allowed, " or "), quote(text))
		return allowed[0]
	}
	return text
}

func orNode(n, fallback *yaml.Node) *yaml.Node {
	if n == nil {
		return fallback
	}
	return n
}

// validAddress reports whether text can stand for one mailbox: a local part
// and a domain, no wildcard, no white space.
func validAddress(text string) bool {
	p := mail.Path(text)
	return p.Local() != "" && !strings.ContainsAny(text, "*<>,;\"") && printable(text) && validDomain(text[strings.LastIndexByte(text, '@')+1:]) && !strings.Contains(p.Local(), "@")
}

// validDomain reports whether text is a domain name (RFC 1035 labels after
// conversion to A-labels, underscores tolerated).
func validDomain(text string) bool {
	d := mail.FoldDomain(text)
	if d == "" || len(d) > 253 {
		return false
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func printable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }) < 0
}
