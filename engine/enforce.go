package engine

import (
	"net/netip"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Enforce is what a gateway that runs this set answers at a moment of the SMTP
// dialogue: at MomentRcpt from the envelope, at MomentData from the header as
// well. Unlike Decide it completes nothing: the dialogue has said all there is
// to know so far, and a fact it lacks matches no policy that asks for it. The
// stages that a set alone cannot decide (reputation, greylisting, content) let
// everything pass. ok is false when the message is accepted.
//
// It costs one walk through the stages, whatever the number of policies.
func Enforce(set *Set, m *mail.Message, at time.Time, moment Moment) (v Verdict, ok bool) {
	set = set.orEmpty()
	f := factsOf(m, at)
	if f.lacks(factRecipient) {
		return Verdict{}, false
	}
	d := set.runUntil(&f, twist{}, nil, moment)
	if d.outcome == mail.Accepted {
		return Verdict{}, false
	}
	v = set.verdictOf(&d)
	v.Certainty = Certain
	return v, true
}

// ReplyFor is what the vendor's gateway says to a message that a verdict
// refuses, without a token (the vendor's table of SMTP replies). The texts
// name neither a policy nor an entry.
func ReplyFor(set *Set, m *mail.Message, v Verdict) mail.Reply {
	refused := func(text string) mail.Reply { return mail.Reply{Code: 550, Enhanced: "5.7.1", Text: text} }
	switch {
	case v.Policy == DefaultExternalToExternal && authorised(set, m):
		return refused("Administrative prohibition - envelope blocked")
	case v.Policy == DefaultExternalToExternal:
		return mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "Open relay not allowed"}
	case v.Stage == StageAntiSpoofing && v.Moment == MomentData:
		return refused("Rejected by header based Anti-Spoofing policy")
	case v.Stage == StageAntiSpoofing:
		return refused("Anti-Spoofing policy - Inbound not allowed")
	case v.Stage == StageManagedSenders && v.Moment == MomentData:
		return refused("Rejected by header based manually Blocked Senders - block for manual block")
	case v.Stage == StageManagedSenders && strings.Contains(managedOf(v.Policy).Sender, "@"):
		return refused("Envelope blocked - User Entry")
	case v.Stage == StageManagedSenders:
		return refused("Envelope blocked - User Domain Entry")
	case v.Moment == MomentData:
		return refused("Rejected by header based Blocked Senders - block policy for Header From")
	}
	return refused("Policy level block list in force")
}

// authorised reports whether the client relays for us.
func authorised(set *Set, m *mail.Message) bool {
	client, err := netip.ParseAddr(m.Client.IP)
	return err == nil && inPrefixes(set.orEmpty().file.outbound, client.Unmap().WithZone(""))
}
