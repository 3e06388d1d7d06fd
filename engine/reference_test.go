package engine

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// reference evaluates a policy file the slow and obvious way, straight from the
// rules: every policy in turn, every completion of what is missing by trying
// all addresses that anybody names. It shares no code with the engine but the
// types of the file.
type reference struct {
	f  *file
	at time.Time
}

// given is one completion of the facts.
type given struct {
	envelope, header, recipient mail.Path
	name, ip                    string
	auth                        mail.Auth
	record                      mail.Outcome // what the DMARC record asks for
	bypass                      bool         // the client passes SPF of a bypass domain
	greylisted                  bool         // the log says so, at this instant

	members map[[2]string]bool // address, group: what a group known in part may hold
	listed  map[string]string  // sender, action: what a list known in part may hold
}

// ending is how one completion ends.
type ending struct {
	outcome mail.Outcome
	stage   Stage
	policy  string
}

// levels of specificity, from the table of domain 2.
var referenceLevels = []SpecType{"everyone", "internal_addresses", "external_addresses", "free_mail_domains", "email_domain", "profile_group", "address_attribute_value", "header_display_name", "individual_email_address"}

func domainOf(a mail.Path) string {
	_, domain, _ := strings.Cut(string(a), "@")
	return domain
}

func (r reference) isInternal(a mail.Path) bool { return r.f.internal[domainOf(a)] }

func (r reference) matches(s Spec, a mail.Path, g given, header bool) bool {
	switch s.Type {
	case Everyone:
		return true
	case ExternalAddresses:
		return !r.isInternal(a)
	case HeaderDisplayName:
		return header && strings.EqualFold(g.name, s.Value)
	}
	if a == "<>" {
		return false
	}
	switch s.Type {
	case InternalAddresses:
		return r.isInternal(a)
	case FreeMailDomains:
		return r.f.freeMail[domainOf(a)]
	case EmailDomain:
		if parent, ok := strings.CutPrefix(s.Value, "*."); ok {
			label, rest, _ := strings.Cut(domainOf(a), ".")
			return label != "" && rest == parent
		}
		return domainOf(a) == s.Value
	case ProfileGroup:
		members := r.f.groups[s.Value]
		return slices.Contains(members, string(a)) || slices.Contains(members, domainOf(a)) || g.members[[2]string{string(a), s.Value}]
	case AddressAttributeValue:
		return slices.ContainsFunc(r.f.attributes, func(t attribute) bool {
			return t.address == string(a) && (t.value == s.Value || t.name+"="+t.value == s.Value)
		})
	case IndividualAddress:
		return string(a) == s.Value
	}
	return false
}

// rank is the vector of a policy in one direction.
func (r reference) rank(p Policy, from, to Spec) [6]int {
	v := [6]int{0, slices.Index(referenceLevels, from.Type), slices.Index(referenceLevels, to.Type), 1, 1, 0}
	if p.Override {
		v[0] = 1
	}
	if strings.HasPrefix(from.Value, "*.") {
		v[3] = 0
	}
	if strings.HasPrefix(to.Value, "*.") {
		v[4] = 0
	}
	if len(p.SourceIPs) > 0 {
		v[5] = 1
	}
	return v
}

// inForce reports whether a policy is enabled, inside its dates and meant for
// this client.
func (r reference) inForce(p Policy, g given) bool {
	if p.Disabled || !p.Since.IsZero() && r.at.Before(p.Since) || !p.Until.IsZero() && !r.at.Before(p.Until) {
		return false
	}
	if len(p.SourceIPs) == 0 {
		return true
	}
	return g.ip != "" && slices.ContainsFunc(p.SourceIPs, func(x netip.Prefix) bool { return x.Contains(netip.MustParseAddr(g.ip)) })
}

// candidate gives the best rank of a policy for the addresses that take part.
func (r reference) candidate(p Policy, g given, byEnvelope, byHeader bool) (best [6]int, ok bool) {
	if !r.inForce(p, g) {
		return best, false
	}
	try := func(a mail.Path, header bool) (found bool) {
		directions := [][2]Spec{{p.From, p.To}}
		if p.Bidirectional {
			directions = append(directions, [2]Spec{p.To, p.From})
		}
		for _, d := range directions {
			if !r.matches(d[0], a, g, header) || !r.matches(d[1], g.recipient, given{members: g.members}, false) {
				continue
			}
			if rank := r.rank(p, d[0], d[1]); !found || slices.Compare(rank[:], best[:]) > 0 {
				best, found = rank, true
			}
		}
		return found
	}
	if byHeader && p.FromPart != EnvelopeFrom && try(g.header, true) {
		return best, true // the header is the one used when both match
	}
	return best, byEnvelope && p.FromPart != HeaderFrom && try(g.envelope, false)
}

// winner of a contest; cautious is the option that wins a tie.
func (r reference) winner(section Section, g given, byEnvelope, byHeader bool, cautious string) *Policy {
	var won *Policy
	var top [6]int
	for i, p := range r.f.policies[section] {
		rank, ok := r.candidate(p, g, byEnvelope, byHeader)
		if !ok {
			continue
		}
		wins := won == nil
		if !wins {
			switch order := slices.Compare(rank[:], top[:]); {
			case order > 0:
				wins = true
			case order == 0 && (p.Option == cautious) != (won.Option == cautious):
				wins = p.Option == cautious
			case order == 0:
				wins = p.ID < won.ID
			}
		}
		if wins {
			won, top = &r.f.policies[section][i], rank
		}
	}
	return won
}

// own is what the recipient's own list says of a sender: the address first.
func (r reference) own(g given, sender mail.Path) (id, action string) {
	for _, want := range []string{string(sender), domainOf(sender)} {
		if sender == "<>" || want == "" {
			continue
		}
		if action, ok := g.listed[want]; ok {
			return "managed:" + string(g.recipient) + "/" + want, action
		}
		for _, e := range r.f.managed {
			if e.Recipient == string(g.recipient) && e.Sender == want {
				return "managed:" + e.Recipient + "/" + e.Sender, e.Action
			}
		}
	}
	return "", ""
}

// run goes through the stages. unsure tells that one was passed of which no log
// says what it did, or whose policies are known in part only.
func (r reference) run(g given) (e ending, unsure bool) {
	e, unsure, stopped := r.atRcpt(g)
	if stopped {
		return e, unsure
	}
	e, later := r.atData(g)
	return e, unsure || later
}

func (r reference) partial(section Section) bool { return r.f.known.partial[string(section)] }

// spoofs and blocked are the stages that both moments have.
func (r reference) spoofs(g given, data bool) (e ending, unsure, stopped bool) {
	if !r.isInternal(g.recipient) {
		return e, false, false
	}
	p := r.winner(SectionAntiSpoofing, g, !data, data, OptionApply)
	applies := p != nil && p.Option == OptionApply
	if g.ip != "" && len(r.f.outbound) > 0 && r.f.outbound[0].Contains(netip.MustParseAddr(g.ip)) {
		return e, false, false
	}
	unsure = r.partial(SectionAntiSpoofing)
	if !applies || g.bypass && r.winner(SectionAntiSpoofingSPF, g, !data, data, "") != nil {
		return e, unsure, false
	}
	return ending{mail.Rejected, StageAntiSpoofing, p.ID}, unsure, true
}

func (r reference) blocked(g given, data bool) (e ending, unsure, stopped bool) {
	unsure = r.partial(SectionBlockedSenders)
	if p := r.winner(SectionBlockedSenders, g, true, data, OptionBlockSender); p != nil && p.Option == OptionBlockSender {
		return ending{mail.Rejected, StageBlockedSenders, p.ID}, unsure, true
	}
	return e, unsure, false
}

func (r reference) atRcpt(g given) (e ending, unsure, stopped bool) {
	if e, unsure, stopped = r.spoofs(g, false); stopped {
		return e, unsure, true
	}
	e, more, stopped := r.blocked(g, false)
	if unsure = unsure || more; stopped || !r.isInternal(g.recipient) {
		return e, unsure, stopped
	}
	permit := r.winner(SectionPermittedSenders, g, true, false, OptionNoAction)
	permitted := permit != nil && permit.Option == OptionPermitSender
	if id, action := r.own(g, g.envelope); action == "block" && !permitted {
		return ending{mail.Rejected, StageManagedSenders, id}, unsure, true
	}
	lifted := permitted && permit.FromPart == EnvelopeFrom
	for _, a := range r.f.autoAllow {
		age := r.at.Sub(a.lastSent)
		lifted = lifted || a.internal == string(g.recipient) && a.external == string(g.envelope) && age >= 0 && age < 120*24*time.Hour
	}
	if p := r.winner(SectionReputation, g, true, false, OptionApply); p != nil && p.Option == OptionApply && !lifted {
		unsure = true
	}
	if p := r.winner(SectionGreylisting, g, true, false, OptionApply); p != nil && p.Option == OptionApply && !lifted {
		if g.greylisted {
			return ending{mail.Deferred, StageGreylisting, p.ID}, unsure, true
		}
		unsure = true
	}
	if p := r.winner(SectionDNSAuthentication, g, true, false, ""); p != nil && p.DNS.SPF == DNSReject && g.auth.SPF == "fail" {
		return ending{mail.Rejected, StageDNSAuthentication, p.ID}, unsure, true
	}
	return e, unsure, false
}

func (r reference) atData(g given) (e ending, unsure bool) {
	e, unsure, stopped := r.spoofs(g, true)
	if stopped {
		return e, unsure
	}
	e, more, stopped := r.blocked(g, true)
	if unsure = unsure || more; stopped {
		return e, unsure
	}
	if r.isInternal(g.recipient) {
		if id, action := r.own(g, g.header); action == "block" {
			return ending{mail.Rejected, StageManagedSenders, id}, unsure
		}
		if p := r.winner(SectionDNSAuthentication, g, true, true, ""); p != nil {
			switch {
			case p.DNS.DKIM == DNSReject && g.auth.DKIM == "fail", p.DNS.DMARC == DNSReject && g.auth.DMARC == "fail":
				return ending{mail.Rejected, StageDNSAuthentication, p.ID}, unsure
			case p.DNS.DMARC == DNSHonour && g.auth.DMARC == "fail" && g.record != mail.Accepted:
				return ending{g.record, StageDNSAuthentication, p.ID}, unsure
			}
		}
	}
	for _, p := range r.f.policies[SectionContentExamination] {
		if _, ok := r.candidate(p, g, true, true); ok && p.Option != "none" {
			unsure = true
		}
	}
	return ending{outcome: mail.Accepted}, unsure
}
