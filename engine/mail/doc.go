// Package mail is the vocabulary every other package speaks: what one message
// to one recipient is, as mail logs tell it.
//
// The words are those of RFC 5321 (reverse-path, recipient, reply), RFC 5322
// (header from), RFC 3463 (enhanced status code) and RFC 3464 (outcomes). The
// null reverse-path "<>" is a value; an absent fact is the zero value and is
// left out of JSON, so "not logged" never looks like "empty".
//
//	m := mail.Message{EnvelopeFrom: "alice@acme.example", Recipient: "bob@corp.example",
//		Outcome: mail.Rejected, Reply: mail.Reply{Code: 550}}
//
// It must not know how a log is read, where a message is kept or which policy
// applies: it imports nothing of ours.
package mail
