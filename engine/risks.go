package engine

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"mailwhy/engine/mail"
)

// risksOf says what a person should know before choosing a remedy, a sentence
// each, the gravest first.
func risksOf(set *Set, m *mail.Message, r Remedy, h History) []string {
	var risks []string
	say := func(format string, args ...any) { risks = append(risks, fmt.Sprintf(format, args...)) }
	for i := range h.Others {
		if word := MaliciousWord(&h.Others[i]); word != "" {
			say("malicious content was seen from this sender (%s, message %s)", word, h.Others[i].ID)
			break
		}
	}
	sender, byHeader := remedySender(m, r)
	domain := sender.Domain()
	if own, how := lookalike(set, domain, h.Frequent); how != "" {
		say("%s %s %s", domain, how, own)
	}
	for _, a := range [][2]string{{"SPF", m.Auth.SPF}, {"DKIM", m.Auth.DKIM}, {"DMARC", m.Auth.DMARC}} {
		if strings.EqualFold(a[1], "fail") || strings.EqualFold(a[1], "softfail") {
			say("this message failed %s (%s): it may be forged", a[0], strings.ToLower(a[1]))
		}
	}
	if byHeader && !strings.EqualFold(m.Auth.DMARC, "pass") {
		say("a header can be forged, and no DMARC pass is logged: an approver is needed unless it is limited to the client's address")
	}
	wide := r.Kind == KindGroupRemove && !strings.Contains(r.Scope, "@") || strings.HasPrefix(r.Scope, "domain>")
	risks = append(risks, domainRisks(set, domain, wide)...)
	if !byHeader && !wide && r.Kind != KindRelay {
		if kind, stable := StableSender(m.EnvelopeFrom); kind != "" {
			say("%s", oneOffRisk(m, kind, stable))
		}
	}
	return risks
}

// domainRisks are those of a sender domain that many share.
func domainRisks(set *Set, domain string, wide bool) []string {
	var risks []string
	if esp, shared := SharedSender(domain); shared {
		risks = append(risks, fmt.Sprintf("%s is a mailing service: strangers send from %s too", esp, domain))
	}
	service, free := FreeMailService(domain)
	if free || set.FreeMail(domain) {
		risks = append(risks, fmt.Sprintf("anybody gets a mailbox at %s", firstText(service, domain)))
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); wide && domain != "" && suffix == domain {
		risks = append(risks, fmt.Sprintf("%s is a public suffix: anybody can register a name under it", domain))
	}
	return risks
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// remedySender is the address of the sender that a remedy names.
func remedySender(m *mail.Message, r Remedy) (sender mail.Path, byHeader bool) {
	if scope, err := ParseScope(r.Scope); err == nil && scope.FromPart != EnvelopeFrom {
		return m.HeaderFrom, true
	}
	if len(r.Change.GroupRemove) > 0 {
		member := r.Change.GroupRemove[0].Member
		if !strings.Contains(member, "@") {
			member = "postmaster@" + member
		}
		return mail.Path(member), false
	}
	if !m.EnvelopeFrom.Known() || m.EnvelopeFrom.Null() {
		return m.HeaderFrom, false
	}
	return m.EnvelopeFrom, false
}

// lookalike finds a domain of ours, or one that writes often, which a sender's
// domain could be taken for.
func lookalike(set *Set, domain string, frequent []string) (own, how string) {
	if domain == "" || set.Internal(mail.Path("postmaster@"+domain)) || slices.Contains(frequent, domain) {
		return "", ""
	}
	for _, own := range set.InternalDomains() {
		if how := Resembles(domain, own); how != "" {
			return "our own " + own, how
		}
	}
	for _, other := range frequent {
		if how := Resembles(domain, other); how != "" {
			return other + ", which writes often", how
		}
	}
	return "", ""
}

// StableSender recognises a reverse-path made for one message or one recipient:
// kind is "VERP", "BATV" (draft-levine-smtp-batv), "SRS" or "one-off", "" for an
// ordinary one. stable is the address behind it, "" where it cannot be told.
func StableSender(p mail.Path) (kind string, stable mail.Path) {
	if !p.Known() || p.Null() || !oneOff(p) {
		return "", ""
	}
	local, domain := p.Local(), p.Domain()
	lower := strings.ToLower(local)
	switch {
	case strings.HasPrefix(lower, "prvs=") || strings.HasPrefix(lower, "btv1==") || strings.HasPrefix(lower, "msprvs1="):
		// prvs=TAG=local, btv1==TAG==local, msprvs1=TAG=local
		if i := strings.LastIndexByte(local, '='); i >= 0 && i+1 < len(local) {
			return "BATV", mail.Path(strings.ToLower(local[i+1:]) + "@" + domain)
		}
		return "BATV", ""
	case strings.HasPrefix(lower, "srs0"):
		// SRS0=HASH=TIME=domain=local
		if parts := strings.SplitN(local, "=", 5); len(parts) == 5 {
			return "SRS", mail.Path(strings.ToLower(parts[4]) + "@" + mail.FoldDomain(parts[3]))
		}
		return "SRS", ""
	case strings.HasPrefix(lower, "srs1"):
		return "SRS", ""
	case strings.Contains(local, "="), strings.ContainsAny(local, "+-"):
		return "VERP", ""
	}
	return "one-off", ""
}

func oneOffRisk(m *mail.Message, kind string, stable mail.Path) string {
	text := fmt.Sprintf("the envelope sender was made for this one message (%s), the next one has another", kind)
	switch {
	case stable != "" && kind == "SRS":
		return text + fmt.Sprintf(": it was forwarded, and the sender behind it is %s", stable)
	case stable != "":
		return text + fmt.Sprintf(": the address behind it is %s", stable)
	case m.HeaderFrom.Known():
		return text + fmt.Sprintf(": what stays is the header from %s, or the domain", m.HeaderFrom)
	}
	return text + ": what stays is its domain"
}
