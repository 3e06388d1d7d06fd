package exception

import (
	"fmt"
	"strings"

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
	if word := engine.MaliciousWord(m); word != "" {
		return refused(name, fmt.Sprintf("the gateway reports %s: what carried malicious content is never let in", word))
	}
	if engine.PerhapsMalicious(m) {
		return needsApprover(name, "this refusal stands for a virus or for too much spam, and the log does not tell which")
	}
	return ok(name)
}

// guardHeader: anybody can write any header, so an entry that believes one
// needs to know where the mail comes from: source addresses that are not our
// own, or a message whose header domain was authenticated (DMARC pass, RFC
// 7489). What the log does not say is not proven, and nothing was authenticated
// by the header of a message refused before it came.
func (q question) guardHeader() Guard {
	const name = "header"
	if !q.believesHeader() || q.provesOrigin() {
		return ok(name)
	}
	m := &q.proposal.Message
	switch {
	case len(q.exception.SourceIPs) > 0:
		return needsApprover(name, "the header can be forged, and the source addresses are those of our own hosts or of very many: match the envelope only")
	case beforeHeader(m.Phase):
		return needsApprover(name, fmt.Sprintf("the header can be forged, and this message was refused before its header came (%s): add its source address, or match the envelope only", m.Phase))
	case !strings.EqualFold(m.Auth.DMARC, "pass"):
		return needsApprover(name, fmt.Sprintf("the header can be forged, and this message is not authenticated by DMARC (%s): add its source address, or match the envelope only", orNotLogged(m.Auth.DMARC)))
	case m.HeaderFrom.Domain() == "" || m.HeaderFrom.Domain() != specDomain(q.exception.From):
		return needsApprover(name, fmt.Sprintf("the header can be forged, and what DMARC authenticated is %s, not %s", orNotLogged(clean(m.HeaderFrom.Domain())), specWord(q.exception.From)))
	}
	return ok(name)
}

// believesHeader reports whether an exception lets a message in for what its
// header says. A recipient's own permit is looked up by both addresses; one
// made from the header is made because of the header.
func (q question) believesHeader() bool {
	switch q.exception.Kind {
	case engine.KindManagedPermit:
		return q.proposal.Scope.FromPart == engine.HeaderFrom
	case engine.KindBypass, engine.KindPermit:
		return q.exception.FromPart == engine.HeaderFrom || q.exception.FromPart == engine.BothFrom
	}
	return false
}

func beforeHeader(p mail.Phase) bool {
	switch p {
	case mail.PhaseConnect, mail.PhaseHelo, mail.PhaseMail, mail.PhaseRcpt:
		return true
	}
	return false
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
	for _, own := range q.set.InternalDomains() {
		if how := engine.Resembles(domain, own); how != "" {
			return needsApprover(name, fmt.Sprintf("%s %s our own %s", domain, how, own))
		}
	}
	return ok(name)
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
