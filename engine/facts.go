package engine

import (
	"net/netip"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Names of facts and sections as they stand in Verdict.Missing.
const (
	factEnvelopeFrom = "envelope_from"
	factHeaderFrom   = "header_from"
	factHeaderName   = "header_from_name"
	factClientIP     = "client.ip"
	factRecipient    = "recipient"
	factSPF          = "auth.spf"
)

// facts are what a replay looks at, every missing one filled in by a
// completion. What was filled in and then asked for is in asked.
type facts struct {
	envelope, header mail.Path
	name             string
	client           netip.Addr
	recipient        mail.Path
	at               time.Time
	spfBypass        bool // completion of "does the client pass SPF for a bypass domain"

	missing map[string]bool // facts the log lacks
	asked   map[string]bool // those of them that a stage asked for

	ranges []netip.Prefix // that the client's address was asked for

	envelopeKeys, headerKeys, recipientKeys []key
}

func (f *facts) ask(fact string) {
	if f.missing[fact] {
		f.asked[fact] = true
	}
}

// factsOf reads what the log gives.
func factsOf(m *mail.Message, at time.Time) facts {
	f := facts{envelope: m.EnvelopeFrom, header: m.HeaderFrom, name: m.HeaderFromName, recipient: m.Recipient, at: at, missing: map[string]bool{}, asked: map[string]bool{}}
	if f.header == "" {
		f.header = headerFromReport(m)
	}
	if client, err := netip.ParseAddr(m.Client.IP); err == nil {
		f.client = client.Unmap().WithZone("")
	} else {
		f.missing[factClientIP] = true
	}
	f.missing[factEnvelopeFrom] = !f.envelope.Known()
	f.missing[factHeaderFrom] = !f.header.Known()
	f.missing[factHeaderName] = f.name == ""
	f.missing[factRecipient] = !f.recipient.Known() || f.recipient.Null()
	f.missing[factSPF] = true
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
