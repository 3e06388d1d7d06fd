package engine

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// fact is a set of facts or sections, one bit each, that a verdict can lack.
type fact uint16

const (
	factEnvelopeFrom fact = 1 << iota
	factHeaderFrom
	factHeaderName
	factClientIP
	factRecipient
	factSPF
	factGroups
	factManaged
	factBlocked
	factPermitted
	factAntiSpoofing
	factGreylisting
	factDNS
	factReputation
	factContent
)

// completableFacts are those of which every completion can be tried.
const completableFacts = factEnvelopeFrom | factHeaderFrom | factHeaderName | factClientIP | factSPF

// factNames are the names in Verdict.Missing: the keys of a message's JSON, or
// the section of the policy file that is not known in full.
var factNames = []string{"envelope_from", "header_from", "header_from_name", "client.ip", "recipient", "auth.spf", "groups", "managed_senders",
	"blocked_senders", "permitted_senders", "anti_spoofing", "greylisting", "dns_authentication", "reputation", "content_examination"}

func (f fact) names() []string {
	var names []string
	for i, name := range factNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sectionFact is the bit of a section that cannot be replayed in full.
func sectionFact(section Section) fact {
	return 1 << slices.Index(factNames, string(section))
}

// facts are what a replay looks at, every missing one filled in by a
// completion. What was filled in and then asked for is in asked.
type facts struct {
	envelope, header mail.Path
	name             string
	client           netip.Addr
	recipient        mail.Path
	at               time.Time
	spfBypass        bool // completion of "does the client pass SPF for a bypass domain"

	missing fact // facts the log lacks
	asked   fact // those of them that a stage asked for
	allTies bool // list every tied policy, not the first two of a kind

	ranges []netip.Prefix // that the client's address was asked for

	envelopeKeys, headerKeys, recipientKeys []key
}

func (f *facts) lacks(what fact) bool { return f.missing&what != 0 }

func (f *facts) ask(what fact) { f.asked |= f.missing & what }

// factsOf reads what the log gives.
func factsOf(m *mail.Message, at time.Time) facts {
	f := facts{envelope: m.EnvelopeFrom, header: m.HeaderFrom, name: m.HeaderFromName, recipient: m.Recipient, at: at}
	if f.header == "" {
		f.header = headerFromReport(m)
	}
	if client, err := netip.ParseAddr(m.Client.IP); err == nil {
		f.client = client.Unmap().WithZone("")
	} else {
		f.missing |= factClientIP
	}
	note := func(what fact, absent bool) {
		if absent {
			f.missing |= what
		}
	}
	note(factEnvelopeFrom, !f.envelope.Known())
	note(factHeaderFrom, !f.header.Known())
	note(factHeaderName, f.name == "")
	note(factRecipient, !f.recipient.Known() || f.recipient.Null())
	note(factSPF, true)
	return f
}

// headerFromReport reads the header from out of "Rejected by header based
// Blocked Senders: a@b", where the log gives it nowhere else.
func headerFromReport(m *mail.Message) mail.Path {
	for _, text := range []string{m.Reported.Detail, m.Reply.Text} {
		lower := strings.ToLower(text)
		if !strings.Contains(lower, "rejected by header based") {
			continue
		}
		if colon := strings.LastIndexByte(text, ':'); colon >= 0 {
			if p := mail.Path(strings.Trim(strings.TrimSpace(text[colon+1:]), "<>.")); p.Domain() != "" && !strings.ContainsAny(string(p), " /") {
				return p
			}
		}
	}
	return ""
}

// oneOff reports whether a reverse-path is made for one message or one
// recipient (VERP, BATV, SRS), so that it says nothing about the header from.
func oneOff(p mail.Path) bool {
	local := strings.ToLower(p.Local())
	for _, prefix := range []string{"prvs=", "btv1==", "msprvs1=", "srs0=", "srs1=", "srs0+", "bounce+", "bounces+", "bounce-", "bounces-", "return-", "b-", "0100"} {
		if strings.HasPrefix(local, prefix) {
			return true
		}
	}
	if strings.Contains(local, "=") {
		return true
	}
	digits := 0
	for _, r := range local {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	return len(local) >= 24 && digits >= 6
}
