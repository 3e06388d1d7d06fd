// Package engine explains: it loads a gateway's policies, replays a message
// through them, says which policy decides and how sure that is, and finds the
// narrowest change that lets the next one through.
//
// It models Mimecast's gateway policies: one policy wins each contest, by
// override and then specificity; Take No Action is a Blocked Senders policy
// that does nothing when it wins; a permit never beats a Blocked Senders
// policy. What the vendor does not document is a table in the policy file.
//
//	set, err := engine.Load("policy.yaml", data)
//	trace := engine.Why(set, &message, now)
//
// It is pure: no clock, no files, no network, and it does not know how a
// message was found or where an exception is kept.
package engine
