package logparse

import (
	"strings"

	"mailwhy/engine/mail"
)

// undelivered reads "== address [<original>] R=router T=transport defer (-44)
// H=host [ip]: text" and the same behind "**", which is for good.
func (f *exim) undelivered(l *eximLine) {
	s := text(l.body)
	m := f.message(l)
	m.Outcome, m.Phase = mail.Deferred, mail.PhaseDelivery
	if s[0] == '*' {
		m.Outcome = mail.Bounced
	}
	d := readEximDelivery(s[len("== "):])
	m.Recipient, m.OriginalRecipient, m.Remote = d.recipient, d.original, d.remote
	d.explain(&m)
	if m.Outcome == mail.Bounced && strings.Contains(d.words, "retry timeout exceeded") {
		m.Outcome = mail.Expired
	}
	f.p.conclude(f.transaction(l), &l.lineAt, &m, 0)
}

// delivered reads "=> address R=router T=transport H=host [ip] C="250 ok"" and
// its relatives. What goes to a black hole was thrown away.
func (f *exim) delivered(l *eximLine) {
	s := text(l.body)[len("=> "):]
	d := readEximDelivery(s)
	m := f.message(l)
	m.Outcome, m.Phase = mail.Delivered, mail.PhaseDelivery
	m.Recipient, m.OriginalRecipient, m.Remote = d.recipient, d.original, d.remote
	m.Reply = readReply(d.confirmation)
	switch {
	case strings.HasPrefix(s, ":blackhole:"):
		m.Outcome = mail.Discarded
		m.Reported = mail.Reported{Type: ":blackhole:", Rule: d.router}
	case strings.HasPrefix(s, "blackhole ("):
		m.Outcome, m.Recipient, m.Phase = mail.Discarded, "", mail.PhaseQueue
		m.Reported = mail.Reported{Type: "blackhole", Detail: strings.Trim(strings.TrimPrefix(s, "blackhole "), "()")}
		if t := f.p.open.get(f.transactionKey(l, l.id)); t != nil && len(t.records) > 0 {
			f.p.concludeAll(t, &l.lineAt, &m)
			return
		}
	}
	if m.Outcome == mail.Discarded || f.p.opts.All || f.p.open.get(f.transactionKey(l, l.id)) != nil {
		f.p.conclude(f.transaction(l), &l.lineAt, &m, 0)
	}
}

// eximDelivery is what a delivery line tells.
type eximDelivery struct {
	recipient, original mail.Path
	router              string
	remote              mail.Remote
	confirmation        string // C=, the next hop's words
	words               string // why not
}

func readEximDelivery(s string) eximDelivery {
	var d eximDelivery
	address, rest := eximAddress(s)
	d.recipient = unbracketed(address)
	for {
		rest = strings.TrimLeft(rest, " ")
		switch {
		case rest == "":
			return d
		case rest[0] == ':':
			d.setWords(rest[1:])
			return d
		case rest[0] == '<':
			n := angleEnd(rest)
			d.original, rest = unbracketed(rest[:n]), rest[n:]
			// A file, a pipe or a black hole stands for the address it was made of.
			if d.recipient == "" || strings.ContainsRune("|/:>", rune(d.recipient[0])) {
				d.recipient, d.original = d.original, ""
			}
			continue
		case rest[0] == '(': // an address it was made of
			if end := strings.IndexByte(rest, ')'); end >= 0 {
				rest = rest[end+1:]
				continue
			}
		case strings.HasPrefix(rest, "routing defer ("), strings.HasPrefix(rest, "defer ("):
			if end := strings.IndexByte(rest, ')'); end >= 0 {
				rest = rest[end+1:]
				continue
			}
		}
		before := rest
		key, value, after := eximAttribute(rest)
		if value == "" && !strings.Contains(key, "=") && !strings.HasPrefix(before[len(key):], "=") {
			if key != "K" && key != "L" && key != "PRDR" {
				d.setWords(before)
				return d
			}
			rest = after
			continue
		}
		rest = after
		if key != "H" && strings.HasSuffix(value, ":") && key != "C" {
			value, rest = strings.TrimSuffix(value, ":"), ":"+rest
		}
		d.attribute(key, value)
	}
}

func (d *eximDelivery) attribute(key, value string) {
	switch key {
	case "R":
		d.router = value
	case "H":
		c := eximHost(value)
		d.remote = mail.Remote{Name: c.Name, IP: c.IP}
	case "C":
		d.confirmation = value
	}
}

// setWords takes what follows the colon, without the times that Exim may add.
func (d *eximDelivery) setWords(s string) {
	s = strings.TrimSpace(s)
	for _, time := range []string{" DT=", " QT="} {
		if i := strings.LastIndex(s, time); i >= 0 && !strings.Contains(s[i+1:], " ") {
			s = s[:i]
		}
	}
	d.words = s
	if d.remote == (mail.Remote{}) {
		if _, host, ok := strings.Cut(s, " H="); ok {
			c := eximHost(host)
			d.remote = mail.Remote{Name: c.Name, IP: c.IP}
		}
	}
}

// explain fills the reply and what Exim itself reports. Only what the next hop
// or the administrator's router said has a code.
func (d *eximDelivery) explain(m *mail.Message) {
	m.Reported.Detail = d.words
	class, _, _ := strings.Cut(d.words, ": ")
	if head, _, ok := strings.Cut(class, " after "); ok {
		class = head
	}
	m.Reported.Type = class
	words := strings.ReplaceAll(d.words, `\n`, " ")
	reply, remote, ok := eximRemoteReply(words)
	if !ok {
		m.Reply = readReply(words)
		m.Reported.Rule = d.router
		return
	}
	m.Reply = readReply(reply)
	if remote != (mail.Remote{}) && m.Remote == (mail.Remote{}) {
		m.Remote = remote
	}
}

// eximRemoteReply finds the next hop's reply in "SMTP error from remote mail
// server after RCPT TO:<a@b>: [host name [ip]: ]550 text".
func eximRemoteReply(words string) (reply string, remote mail.Remote, ok bool) {
	_, s, ok := strings.Cut(words, " error from remote mail server after ")
	if !ok {
		if _, s, ok = strings.Cut(words, "LMTP error after "); !ok {
			return "", mail.Remote{}, false
		}
	}
	if open := strings.Index(s, ":<"); open >= 0 && open < 40 { // the address is not Exim's word
		s = s[open+1+angleEnd(s[open+1:]):]
	}
	for {
		_, after, found := strings.Cut(s, ": ")
		if !found {
			return "", remote, false
		}
		if host, isHost := strings.CutPrefix(after, "host "); isHost {
			c := eximHost(host)
			remote = mail.Remote{Name: c.Name, IP: c.IP}
		}
		if _, _, good := replyCode(after); good {
			return after, remote, true
		}
		s = after
	}
}
