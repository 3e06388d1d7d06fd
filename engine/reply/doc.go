// Package reply knows what SMTP replies and non-delivery texts mean: it takes
// one reply, a log line or a whole pasted bounce and says what happened, on
// whose side, and what to do.
//
// It follows RFC 5321 (replies), RFC 3463 with the registry of RFC 5248
// (enhanced status codes) and RFC 3464 (delivery status notifications). Where
// one server wraps the reply of another, the innermost is the one explained.
// The rows of knowledge are data files with a source each.
//
//	e := reply.Explain("550 Administrative prohibition - envelope blocked")
//	e.Layer // "blocked_senders"
//
// It must not know a policy set, an index or a message: the same text always
// means the same.
package reply
