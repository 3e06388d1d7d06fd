package mail

import "time"

// Join says how a hop is known to be the same message.
type Join string

// The joins. A queue id is proof: one log names the id that the other one gave
// (RFC 5321, 4.2.1: the text of the reply; "queued as 4PbC4z6W5Qz3tG3"). A
// message id alone is not, for lists and resends share it: sender, recipient
// and time agree as well. A notification is another message: the bounce, or the
// warning of a delay, that tells the sender of this one, or the other way round.
// A triplet of sender, recipient and the client's network is what greylisting
// goes by: under that hop's id the gateway had deferred the same message.
const (
	ByQueueID      Join = "queue_id"
	ByMessageID    Join = "message_id"
	ByNotification Join = "notification"
	ByTriplet      Join = "triplet"
)

// Hop is what the log of another gateway tells of the same message for the same
// recipient, or that of the same gateway under another queue id.
type Hop struct {
	Format    string     `json:"format,omitempty"`
	Gateway   string     `json:"gateway,omitempty"`
	QueueID   string     `json:"queue_id,omitempty"`
	MessageID string     `json:"message_id,omitempty"` // only where the joined message is not known by it
	Outcome   Outcome    `json:"outcome,omitempty"`    // what became of it there
	Join      Join       `json:"join,omitempty"`
	Time      time.Time  `json:"time,omitzero"` // its first line, UTC, milliseconds
	Last      time.Time  `json:"last,omitzero"` // its newest line
	Evidence  []Evidence `json:"evidence,omitempty"`
}
