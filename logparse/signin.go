package logparse

import (
	"bytes"
	"net/netip"
)

// SignIn is a sign-in that a mail server refused before any message.
type SignIn struct {
	Account string // as the client gave it; "" = the line does not say
	Client  string // IP address; "" = the line does not say
}

// ReadSignIn reads a line of a log that tells of a refused sign-in: Postfix's
// "SASL LOGIN authentication failed", Exim's "authenticator failed for" and
// Dovecot's "auth failed". ok is false for every other line. No Message is made
// of such a line: it names no recipient.
func ReadSignIn(line []byte) (s SignIn, ok bool) {
	switch {
	case bytes.Contains(line, []byte(": SASL ")):
		return postfixSignIn(line)
	case bytes.Contains(line, []byte(" authenticator failed for ")):
		return eximSignIn(line)
	case bytes.Contains(line, []byte("(auth failed, ")):
		return dovecotSignIn(line)
	}
	return SignIn{}, false
}

// postfixSignIn reads "warning: HOST[IP]: SASL LOGIN authentication failed:
// REASON, sasl_username=NAME" (SASL_README; the name since 3.8).
func postfixSignIn(line []byte) (SignIn, bool) {
	before, after, ok := bytes.Cut(line, []byte(": SASL "))
	_, reason, failed := bytes.Cut(after, []byte("authentication failed"))
	if !ok || !failed || bytes.Contains(before, []byte("postfix/smtp[")) { // what we sign in to, with smtp(8)
		return SignIn{}, false
	}
	s := SignIn{Client: lastBracketed(before)}
	if _, name, ok := bytes.Cut(reason, []byte("sasl_username=")); ok {
		s.Account = string(bytes.TrimSpace(name))
	}
	return s, s.Client != ""
}

// eximSignIn reads "NAME authenticator failed for HOST (HELO) [IP]:port: 535
// Incorrect authentication data (set_id=NAME)" (Exim specification, 33.5).
func eximSignIn(line []byte) (SignIn, bool) {
	_, after, _ := bytes.Cut(line, []byte(" authenticator failed for "))
	host, reply, ok := bytes.Cut(after, []byte(": 535 "))
	if !ok {
		return SignIn{}, false
	}
	s := SignIn{Client: lastBracketed(host)}
	if _, name, ok := bytes.Cut(reply, []byte("(set_id=")); ok {
		if end := bytes.LastIndexByte(name, ')'); end >= 0 {
			s.Account = string(name[:end])
		}
	}
	return s, s.Client != ""
}

// dovecotSignIn reads "(auth failed, 1 attempts in 2 secs): user=<NAME>,
// method=PLAIN, rip=IP, ...".
func dovecotSignIn(line []byte) (SignIn, bool) {
	_, after, _ := bytes.Cut(line, []byte("(auth failed, "))
	_, user, ok := bytes.Cut(after, []byte("user=<"))
	name, rest, closed := bytes.Cut(user, []byte(">, "))
	_, client, named := bytes.Cut(rest, []byte("rip="))
	if !ok || !closed || !named {
		return SignIn{}, false
	}
	client, _, _ = bytes.Cut(client, []byte(","))
	ip, err := netip.ParseAddr(string(client))
	if err != nil {
		return SignIn{}, false
	}
	return SignIn{Account: string(name), Client: ip.Unmap().String()}, true
}

// lastBracketed is the last IP address in brackets: what stands before it, such
// as a HELO, is the client's own word.
func lastBracketed(text []byte) string {
	for end := bytes.LastIndexByte(text, ']'); end >= 0; end = bytes.LastIndexByte(text[:end], ']') {
		open := bytes.LastIndexByte(text[:end], '[')
		if open < 0 {
			return ""
		}
		if ip, err := netip.ParseAddr(string(text[open+1 : end])); err == nil {
			return ip.Unmap().String()
		}
	}
	return ""
}
