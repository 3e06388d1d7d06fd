package mail

// Outcome is what became of a message for one recipient.
type Outcome string

// The outcomes. Deferred is any refusal for now (4yz, greylisting, a transient
// delivery failure) whatever word the log uses.
const (
	Rejected  Outcome = "rejected"  // refused for good in the SMTP dialogue (5yz, or the log's own word)
	Deferred  Outcome = "deferred"  // refused or undeliverable for now
	Bounced   Outcome = "bounced"   // accepted, then failed for good
	Expired   Outcome = "expired"   // given up after deferrals
	Held      Outcome = "held"      // kept for review
	Discarded Outcome = "discarded" // accepted and thrown away
	Delivered Outcome = "delivered" // handed to the next hop or a mailbox
	Accepted  Outcome = "accepted"  // let in; used by verdicts, and by messages whose delivery is not logged
)

// Failing reports whether a message with this outcome belongs in the index.
func (o Outcome) Failing() bool {
	switch o {
	case Rejected, Deferred, Bounced, Expired, Held, Discarded:
		return true
	}
	return false
}

// LetIn reports whether the gateway took the message in: it was delivered, or no
// log tells what came then.
func (o Outcome) LetIn() bool { return o == Delivered || o == Accepted }

// Phase is the moment of the SMTP dialogue or of delivery in which it failed.
type Phase string

// The phases in the order of a message's way.
const (
	PhaseConnect   Phase = "connect"
	PhaseHelo      Phase = "helo"
	PhaseMail      Phase = "mail"
	PhaseRcpt      Phase = "rcpt"
	PhaseData      Phase = "data"
	PhaseEndOfData Phase = "end-of-data"
	PhaseQueue     Phase = "queue"
	PhaseDelivery  Phase = "delivery"
	PhaseUnknown   Phase = "unknown"
)

// Direction is the way a message travels, seen from the internal domains.
type Direction string

// The directions; External is from outside to outside (a relay attempt).
const (
	Inbound          Direction = "inbound"
	Outbound         Direction = "outbound"
	Internal         Direction = "internal"
	External         Direction = "external"
	DirectionUnknown Direction = "unknown"
)
