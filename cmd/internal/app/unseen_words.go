package app

import (
	"fmt"

	"mailwhy/engine/mail"
)

// conclude says what follows from the numbers, and what to ask next (the
// vendor's article, "Emails Not Being Received").
func (u *Unseen) conclude() {
	say := func(format string, args ...any) { u.Says = append(u.Says, fmt.Sprintf(format, args...)) }
	ask := func(text string) { u.Ask = append(u.Ask, text) }
	if u.Messages > 0 {
		say("%d messages %s were seen: the newest is %s", u.Messages, u.pair(), u.Newest[0])
		ask("read its answer: mailwhy why " + u.Newest[0])
		return
	}
	say("no refused, deferred or failed message %s was seen", u.pair())
	u.coverage(say)
	u.sender(say, ask)
	switch {
	case u.PairAccepted == nil:
		say("messages that were let in are not indexed here, so it may have been delivered")
		ask("the gateway's message tracking, and the recipient's junk folder, rules and quarantine")
	case *u.PairAccepted > 0:
		say("%d messages of the pair were let in", *u.PairAccepted)
		ask("the recipient's junk folder, rules and quarantine")
	}
	if u.Verdict != "" {
		say("if it came now, %s would stop it", u.Verdict)
	}
	switch {
	case mail.Path(u.To).Domain() == "":
	case u.RecipientInside:
		ask("whether the message was routed internally or through a journalling connector, past these gateways")
	default:
		say("%s is not in an internal domain of the policy file", u.To)
		ask("whether mail for this domain is routed through these gateways at all")
	}
}

// pair is who wrote to whom, as far as it is known.
func (u *Unseen) pair() string {
	switch {
	case u.From == "":
		return "to " + u.To
	case u.To == "":
		return "of " + u.From
	}
	return "of " + u.From + " to " + u.To
}

// sender says whether the sender, its domain or a host of it came at all.
func (u *Unseen) sender(say func(string, ...any), ask func(string)) {
	domain := u.domain()
	switch {
	case u.From == "":
		ask("the sender's address, as the notice of failure or the person gives it")
	case u.SenderMessages > 0:
		say("%s was seen %d times, writing to others: ask whether the recipient's address was right", u.From, u.SenderMessages)
		ask("the exact recipient address the sender used")
	case u.DomainMessages > 0:
		say("%d messages came from %s, none of this address", u.DomainMessages, domain)
		ask("the envelope sender (Return-Path) the message had: a mailing service uses another one than the From line shows")
	case u.HostMessages > 0:
		say("hosts of %s connected %d times, for other senders", domain, u.HostMessages)
		ask("the envelope sender (Return-Path) the message had")
	case u.DomainOlder > 0:
		say("nothing of %s was seen in this time, %d messages before it", domain, u.DomainOlder)
		ask("the time of sending: was it before the time looked at?")
	default:
		say("neither %s nor a host of it was seen at all", domain)
		ask("whether the sender got a notice of failure, and its whole text: mailwhy explain reads it")
		ask("whether the message still waits in the sender's own server or was sent elsewhere: the MX of the recipient's domain must lead to these gateways")
	}
}

// coverage says how far "never seen" can be relied on.
func (u *Unseen) coverage(say func(string, ...any)) {
	switch {
	case u.Indexed == 0:
		say("nothing of anybody was seen in this time: that proves nothing, the logs of it may be missing")
	case len(u.Gaps) == 0:
		say("%d messages of others were seen in this time, without a gap", u.Indexed)
	}
	sayGaps(say, "anybody", u.Gaps)
	for _, g := range u.Gateways {
		sayGaps(say, g.Name, g.Gaps)
	}
	for _, s := range u.Sources {
		switch {
		case s.Problem != "":
			say("%s is not read: %s", s.Path, s.Problem)
		case s.Behind > 0:
			say("%s is read %d bytes behind its end", s.Path, s.Behind)
		}
	}
}

// mostGaps is how many gaps of one gateway are told one by one.
const mostGaps = 5

func sayGaps(say func(string, ...any), of string, gaps []Gap) {
	for i, g := range gaps {
		if i == mostGaps {
			say("and %d more gaps of %s", len(gaps)-i, of)
			return
		}
		say("nothing of %s was seen from %s to %s: logs may be missing", of, g.From.UTC().Format("2006-01-02 15:04"), g.To.UTC().Format("2006-01-02 15:04 MST"))
	}
}
