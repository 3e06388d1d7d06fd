package mail

import (
	"iter"
	"slices"
	"time"
)

// Message is one message to one recipient with every log line that tells of
// it. Its JSON form is what `--json` prints.
type Message struct {
	ID      string    `json:"id,omitempty"`      // fixed-width time, source, offset, ordinal: string order is time order
	Time    time.Time `json:"time,omitzero"`     // first failing line, UTC, milliseconds; never changes
	Last    time.Time `json:"last,omitzero"`     // newest line, UTC, milliseconds
	Source  string    `json:"source,omitempty"`  // hash that identifies the log the first failing line stands in
	Format  string    `json:"format,omitempty"`  // "postfix", "mimecast-v1", ...
	Gateway string    `json:"gateway,omitempty"` // host or account that wrote the log

	Outcome   Outcome   `json:"outcome,omitempty"`
	Phase     Phase     `json:"phase,omitempty"`
	Direction Direction `json:"direction,omitempty"`
	Client    Client    `json:"client,omitzero"`

	EnvelopeFrom      Path   `json:"envelope_from,omitempty"` // reverse-path; "<>" is the null path, "" is not logged
	HeaderFrom        Path   `json:"header_from,omitempty"`   // address of the From header
	HeaderFromName    string `json:"header_from_name,omitempty"`
	Recipient         Path   `json:"recipient,omitempty"` // final recipient
	OriginalRecipient Path   `json:"original_recipient,omitempty"`

	Subject   string `json:"subject,omitempty"`
	MessageID string `json:"message_id,omitempty"` // RFC 5322 Message-ID with its angle brackets, as logged
	QueueID   string `json:"queue_id,omitempty"`   // queue id, aCode or aggregateId
	Size      int64  `json:"size,omitempty"`       // bytes; 0 = not logged

	Reply    Reply    `json:"reply,omitzero"`
	Reported Reported `json:"reported,omitzero"`
	Remote   Remote   `json:"remote,omitzero"`
	Attempts int      `json:"attempts,omitempty"` // failing attempts seen
	Auth     Auth     `json:"auth,omitzero"`

	SpamScore *float64   `json:"spam_score,omitempty"` // nil = not logged
	Evidence  []Evidence `json:"evidence,omitempty"`   // in the order the lines were read
	Hops      []Hop      `json:"hops,omitempty"`       // what other gateways tell of it, in the order of their times
}

// Lines are all lines that tell of the message: its own evidence, then that of
// its hops. They may be changed in place.
func (m *Message) Lines() iter.Seq[*Evidence] {
	return func(yield func(*Evidence) bool) {
		for i := range m.Evidence {
			if !yield(&m.Evidence[i]) {
				return
			}
		}
		for i := range m.Hops {
			for j := range m.Hops[i].Evidence {
				if !yield(&m.Hops[i].Evidence[j]) {
					return
				}
			}
		}
	}
}

// CloneLines gives the message lines of its own, which may be changed while
// others still read those it had.
func (m *Message) CloneLines() {
	m.Evidence, m.Hops = slices.Clone(m.Evidence), slices.Clone(m.Hops)
	for i := range m.Hops {
		m.Hops[i].Evidence = slices.Clone(m.Hops[i].Evidence)
	}
}

// Client is the host that connected, as the log names it. IP is text because
// masked logs carry addresses no parser accepts; see netip.ParseAddr.
type Client struct {
	IP   string `json:"ip,omitempty"`
	Name string `json:"name,omitempty"` // reverse name; "unknown" is not a name and is left out
	Helo string `json:"helo,omitempty"`
}

// Remote is the next hop of a delivery.
type Remote struct {
	Name string `json:"name,omitempty"`
	IP   string `json:"ip,omitempty"`
}

// Reported is what the log itself says about the cause: Type is its class of
// rejection ("Manual Envelope Rejection", "Recipient address rejected"), Rule
// the rule, list or restriction it names if any, Detail the rest of its words.
type Reported struct {
	Type   string `json:"type,omitempty"`
	Rule   string `json:"rule,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// Auth holds authentication results as RFC 8601 words (pass, fail, softfail,
// neutral, none, temperror, permerror); "" = not logged.
type Auth struct {
	SPF   string `json:"spf,omitempty"`
	DKIM  string `json:"dkim,omitempty"`
	DMARC string `json:"dmarc,omitempty"`
}

// Evidence is one log line: the file as it was named, the offset of the line's
// first byte in the decompressed file, and the line without its line end.
type Evidence struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Text   string `json:"text"`
}
