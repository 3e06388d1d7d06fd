package exception

import (
	"fmt"
	"strings"
	"unicode"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// guardMalicious: what carried malicious content is never let in, whoever asks.
// The gateway's own words say so; addresses in them are left out, since their
// owners chose them.
func (q question) guardMalicious() Guard {
	const name = "malicious"
	if !opens(q.exception.Kind) {
		return ok(name)
	}
	m := &q.proposal.Message
	for _, text := range []string{m.Reported.Type, m.Reported.Rule, m.Reported.Detail, m.Reply.Text} {
		if word := maliciousWord(text); word != "" {
			return refused(name, fmt.Sprintf("the gateway reports %s: what carried malicious content is never let in", word))
		}
	}
	if strings.Contains(strings.ToLower(m.Reply.Text+" "+m.Reported.Type+" "+m.Reported.Detail), "rejected due to security policies") {
		return needsApprover(name, "this refusal stands for a virus or for too much spam, and the log does not tell which")
	}
	return ok(name)
}

func maliciousWord(text string) string {
	for field := range strings.FieldsSeq(strings.ToLower(text)) {
		if strings.Contains(field, "@") {
			continue
		}
		for word := range strings.FieldsFuncSeq(field, func(r rune) bool { return !unicode.IsLetter(r) }) {
			for _, bad := range []string{"virus", "malware", "malicious", "phish", "trojan", "ransomware", "infected", "eicar"} {
				if strings.HasPrefix(word, bad) {
					return word
				}
			}
		}
	}
	return ""
}

// guardHeader: anybody can write any header, so an entry that believes one
// needs to know where the mail comes from: source addresses, or a message
// whose header domain was authenticated (DMARC pass, RFC 7489). What the log
// does not say is not proven.
func (q question) guardHeader() Guard {
	const name = "header"
	e := q.exception
	if !opens(e.Kind) || e.FromPart != engine.HeaderFrom && e.FromPart != engine.BothFrom {
		return ok(name)
	}
	if fewAddresses(e.SourceIPs) {
		return ok(name)
	}
	m := &q.proposal.Message
	switch {
	case !strings.EqualFold(m.Auth.DMARC, "pass"):
		return needsApprover(name, fmt.Sprintf("the header can be forged, and this message is not authenticated by DMARC (%s): add its source address, or match the envelope only", orNotLogged(m.Auth.DMARC)))
	case m.HeaderFrom.Domain() == "" || m.HeaderFrom.Domain() != specDomain(e.From):
		return needsApprover(name, fmt.Sprintf("the header can be forged, and what DMARC authenticated is %s, not %s", orNotLogged(clean(m.HeaderFrom.Domain())), specWord(e.From)))
	}
	return ok(name)
}

func orNotLogged(word string) string {
	if word == "" {
		return "not logged"
	}
	return word
}

// guardLookalike asks for a second look at a sender domain made to be taken for
// one of ours.
func (q question) guardLookalike() Guard {
	const name = "lookalike"
	domain := specDomain(q.exception.From)
	if domain == "" || !opens(q.exception.Kind) || q.set.Internal(mail.Path("postmaster@"+domain)) {
		return ok(name)
	}
	for _, own := range q.ownDomains() {
		if how := resembles(domain, own); how != "" {
			return needsApprover(name, fmt.Sprintf("%s %s our own %s", domain, how, own))
		}
	}
	return ok(name)
}

// ownDomains are the internal domains that the policies and the evidence name.
func (q question) ownDomains() []string {
	var own []string
	known := map[string]bool{}
	add := func(domain string) {
		if domain != "" && !known[domain] && q.set.Internal(mail.Path("postmaster@"+domain)) {
			own = append(own, domain)
		}
		known[domain] = true
	}
	m := &q.proposal.Message
	add(m.Recipient.Domain())
	add(m.OriginalRecipient.Domain())
	for _, p := range q.set.Policies() {
		add(specDomain(p.From))
		add(specDomain(p.To))
	}
	return own
}

// guardFirstSeen asks for a second look at a sender domain that nobody has mail
// from.
func (q question) guardFirstSeen() Guard {
	const name = "first_seen"
	domain := specDomain(q.exception.From)
	if q.seen == nil || domain == "" || !opens(q.exception.Kind) || q.seen(domain) {
		return ok(name)
	}
	return needsApprover(name, fmt.Sprintf("no mail from %s was seen before this message", domain))
}
