package engine

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// fact is a set of facts or sections, one bit each, that a verdict can lack.
type fact uint32

const (
	factEnvelopeFrom fact = 1 << iota
	factHeaderFrom
	factHeaderName
	factClientIP
	factRecipient
	factSPF
	factDKIM
	factDMARC
	factDMARCRecord
	factSPFBypass
	factGroups
	factAttributes
	factManaged
	factAutoAllow
	factBlocked
	factPermitted
	factAntiSpoofing
	factGreylisting
	factDNS
	factReputation
	factContent
)

// completableFacts are those of which every completion can be tried.
const completableFacts = factEnvelopeFrom | factHeaderFrom | factHeaderName | factClientIP | factSPF | factDKIM | factDMARC | factDMARCRecord | factSPFBypass | factGroups | factAttributes | factManaged

// factNames are the names in Verdict.Missing: the keys of a message's JSON, or
// the section of the policy file that is not known in full.
var factNames = [...]string{"envelope_from", "header_from", "header_from_name", "client.ip", "recipient",
	"auth.spf", "auth.dkim", "auth.dmarc", "dmarc_record", "anti_spoofing_spf_bypass", "groups", "attributes", "managed_senders", "auto_allow",
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

// namesOfMost gives the names of what most logs lack, in every combination, so
// that a verdict that lacks no more allocates nothing.
func namesOfMost() map[fact][]string {
	most := map[fact][]string{}
	for f := fact(0); f <= factHeaderFrom|factHeaderName|factClientIP; f++ {
		if f&^(factHeaderFrom|factHeaderName|factClientIP) == 0 {
			most[f] = f.names()
		}
	}
	return most
}

// sectionFact is the bit of a section that cannot be replayed in full.
func sectionFact(section Section) fact {
	return 1 << slices.Index(factNames[:], string(section))
}

// facts are what a replay looks at, every missing one filled in by a
// completion. What was filled in and then asked for is in asked.
type facts struct {
	message          *mail.Message
	envelope, header mail.Path
	name             string
	client           netip.Addr
	recipient        mail.Path
	at               time.Time
	auth             mail.Auth
	dmarcRecord      mail.Outcome // what the sender's record asks for on a failure
	spfBypass        int          // completion of "does the client pass SPF for a bypass domain"
	guess            guess        // completion of sections known in part

	missing fact // facts the log lacks
	asked   fact // those of them that a stage asked for

	ranges []netip.Prefix // that the client's address was asked for
}

// guess is one thing that a section known in part may hold: memberships of the
// sender's and the recipient's address, or an entry of the recipient's list.
type guess struct {
	byHeader        bool // fromKey is of the header from, else of the envelope
	fromKey, toKey  key  // 0 = no guess
	managed, action string
}

func (f *facts) lacks(what fact) bool { return f.missing&what != 0 }

// ask notes that a fact is asked for, if the log lacks it.
func (f *facts) ask(what fact) { f.asked |= f.missing & what }

// askFor notes that a section known in part, or a check no log holds, could
// change the outcome.
func (f *facts) askFor(what fact) { f.asked |= what }

// askClient notes that the client's address is asked for and which ranges.
func (f *facts) askClient(prefixes []netip.Prefix) {
	if !f.lacks(factClientIP) {
		return
	}
	f.asked |= factClientIP
	f.ranges = mergeRanges(f.ranges, prefixes)
}

func mergeRanges(a, b []netip.Prefix) []netip.Prefix {
	for _, p := range b {
		if !slices.Contains(a, p) {
			a = append(a, p)
		}
	}
	return a
}

// factsOf reads what the log gives.
func factsOf(m *mail.Message, at time.Time) facts {
	f := facts{message: m, envelope: m.EnvelopeFrom, header: m.HeaderFrom, name: m.HeaderFromName, recipient: m.Recipient, at: at, auth: m.Auth}
	if f.header == "" {
		f.header = headerFromReport(m)
	}
	f.client = clientOf(m)
	note := func(what fact, absent bool) {
		if absent {
			f.missing |= what
		}
	}
	note(factClientIP, !f.client.IsValid())
	note(factEnvelopeFrom, !f.envelope.Known())
	note(factHeaderFrom, !f.header.Known())
	note(factHeaderName, f.name == "")
	note(factRecipient, !f.recipient.Known() || f.recipient.Null())
	note(factSPF, f.auth.SPF == "")
	note(factDKIM, f.auth.DKIM == "")
	note(factDMARC, f.auth.DMARC == "")
	note(factSPFBypass|factDMARCRecord, true)
	return f
}

// plain fills in what is missing the plain way: header from as envelope from
// and the other way round, no display name, a client in no listed range,
// authentication passed.
func (f facts) plain() facts {
	if f.lacks(factHeaderFrom) {
		f.header = f.envelope
	}
	if f.lacks(factEnvelopeFrom) {
		f.envelope = f.header
	}
	return f
}

// clientOf reads the client's address; IPv4-mapped IPv6 counts as IPv4. The
// zero Addr where the log gives none, or a masked one.
func clientOf(m *mail.Message) netip.Addr {
	if m.Client.IP == "" {
		return netip.Addr{}
	}
	client, err := netip.ParseAddr(m.Client.IP)
	if err != nil {
		return netip.Addr{}
	}
	return client.Unmap().WithZone("")
}

// headerFromReport reads the header from out of "Rejected by header based
// Blocked Senders: a@b", where the log gives it nowhere else.
func headerFromReport(m *mail.Message) mail.Path {
	for _, text := range [...]string{m.Reported.Detail, m.Reply.Text} {
		if len(text) == 0 || !strings.Contains(strings.ToLower(text), "rejected by header based") {
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
	for _, prefix := range [...]string{"prvs=", "btv1==", "msprvs1=", "srs0=", "srs1=", "srs0+", "bounce+", "bounces+", "bounce-", "bounces-", "return-"} {
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
	return len(local) >= 20 && digits >= 6
}
