// Package gate decides messages while they arrive, with the very set that
// explains them afterwards: as a milter (Milter) and, for sites without
// milters, as a Postfix policy delegation server (Delegation).
//
// Every refusal is written to a decision log and carries a token at the end of
// its reply, "550 5.7.1 Policy level block list in force [k7Q2xw]". Who gets
// the reply learns nothing from the token; Log.Find gives back which policy it
// was, with the facts that the mail server's own log lacks.
//
//	g := gate.New(gate.Options{Set: set, Log: log, Mode: gate.Monitor})
//	err := g.Milter(ctx, listener)
//
// It must not know where the set comes from, an index or a screen.
package gate

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// Mode is what becomes of a message that a policy refuses.
type Mode string

// The modes. Monitor decides, logs and accepts: the way to begin.
const (
	Monitor Mode = "monitor"
	Enforce Mode = "enforce"
)

// Options of a gate.
type Options struct {
	Set        func() *engine.Set // the set in force; called once a message
	Log        *Log               // where refusals are written; nil = nowhere, and no reply carries a token
	Mode       Mode               // "" = Monitor
	FailClosed bool               // a message that cannot be decided gets 451 instead of being accepted
	Now        func() time.Time   // nil = time.Now
}

// Gate decides messages. It is safe for use by many goroutines.
type Gate struct {
	o     Options
	count struct{ asked, refused, failed atomic.Int64 }
}

// New makes a gate.
func New(o Options) *Gate {
	if o.Mode == "" {
		o.Mode = Monitor
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gate{o: o}
}

// Counts tells how many recipients were asked about, refused by a policy (in
// monitor mode: would have been) and could not be decided.
func (g *Gate) Counts() (asked, refused, failed int64) {
	return g.count.asked.Load(), g.count.refused.Load(), g.count.failed.Load()
}

// undecided is the answer of a gate that fails closed.
func undecided() mail.Reply {
	return mail.Reply{Code: 451, Enhanced: "4.7.1", Text: "Unable to process an email at this time"}
}

// decide asks the set about one recipient. refusal is nil when the message may
// pass; in monitor mode it always may, and the decision is only logged.
func (g *Gate) decide(set *engine.Set, m *mail.Message, moment engine.Moment) (refusal *mail.Reply) {
	g.count.asked.Add(1)
	defer func() {
		if problem := recover(); problem != nil { // one odd message must not take the mail server's filter away
			g.count.failed.Add(1)
			refusal = nil
			if g.o.FailClosed && g.o.Mode == Enforce {
				reply := undecided()
				refusal = &reply
			}
		}
	}()
	v, stopped := engine.Enforce(set, m, g.o.Now(), moment)
	if !stopped {
		return nil
	}
	g.count.refused.Add(1)
	reply := engine.ReplyFor(set, m, v)
	if g.o.Log != nil {
		token := newToken()
		d := Decision{Time: g.o.Now().UTC(), Token: token, Enforced: g.o.Mode == Enforce, Policy: v.Policy, Stage: v.Stage, Moment: v.Moment, Reply: reply,
			Client: m.Client, EnvelopeFrom: m.EnvelopeFrom, HeaderFrom: m.HeaderFrom, HeaderFromName: m.HeaderFromName, Recipient: m.Recipient,
			QueueID: m.QueueID, PolicyVersion: set.Version()}
		if err := g.o.Log.Append(d); err == nil {
			reply.Text += " [" + token + "]"
		}
	}
	if g.o.Mode != Enforce {
		return nil
	}
	return &reply
}

// tokenLength in letters and digits: about 36 bits, so that a token is hard to
// guess and seldom comes twice.
const tokenLength = 6

func newToken() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var token [tokenLength]byte
	text := rand.Text() // 26 characters of base32: 130 bits
	var n uint64
	for i := range 13 {
		n = n*32 + uint64(strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", text[i]))
	}
	for i := range token {
		token[i] = letters[n%uint64(len(letters))]
		n /= uint64(len(letters))
	}
	return string(token[:])
}

// TokenOf returns the token at the end of a reply's text, "" where there is
// none.
func TokenOf(text string) string {
	text = strings.TrimSpace(text)
	open := len(text) - tokenLength - 2
	if open < 0 || text[open] != '[' || text[len(text)-1] != ']' {
		return ""
	}
	return text[open+1 : len(text)-1]
}

// Listen opens "unix:/path" or "inet:127.0.0.1:port". Anything but a loopback
// address is refused: the protocols know neither identity nor encryption.
func Listen(where string) (net.Listener, error) {
	kind, address, _ := strings.Cut(where, ":")
	switch kind {
	case "unix":
		if c, err := net.DialTimeout("unix", address, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("listen on %s: another program serves it", where)
		}
		if err := os.Remove(address); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("listen on %s: %w", where, err)
		}
		l, err := net.Listen("unix", address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", where, err)
		}
		// The mail server runs as a user of its own; who may come here is what
		// the folder says.
		if err := os.Chmod(address, 0o666); err != nil {
			l.Close()
			return nil, fmt.Errorf("listen on %s: %w", where, err)
		}
		return l, nil
	case "inet":
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return nil, fmt.Errorf("%q is not served: write unix:/path or inet:127.0.0.1:port, since the protocol knows neither identity nor encryption", where)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", where, err)
		}
		return l, nil
	}
	return nil, fmt.Errorf("%q is not a place to listen: write unix:/path or inet:127.0.0.1:port", where)
}

// path is an address as a mail server gives it in its protocols, where the null
// reverse-path is empty.
func path(address string) mail.Path {
	address = strings.TrimSuffix(strings.TrimPrefix(address, "<"), ">")
	if address == "" {
		return mail.NullPath
	}
	return mail.Path(address)
}
