package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Unseen answers "the sender says it was sent, and it never came": what was
// seen of the pair, and how far "we never saw it" can be relied on.
type Unseen struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`

	Messages int      `json:"messages"`         // of the pair, that the index holds
	Newest   []string `json:"newest,omitempty"` // their ids, at most five

	Indexed int        `json:"indexed"` // messages of anybody in that time
	Gaps    []Gap      `json:"gaps"`    // when nothing at all was seen
	Sources []Coverage `json:"sources"` // the logs that are followed

	SenderMessages  int       `json:"sender_messages"`             // from this address, to anybody
	DomainMessages  int       `json:"domain_messages"`             // from the sender's domain or the hosts below it
	HostMessages    int       `json:"host_messages"`               // from clients whose name holds the domain
	DomainLast      time.Time `json:"domain_last,omitzero"`        // the newest of the domain's
	DomainOlder     int       `json:"domain_older,omitempty"`      // of the domain's before since, when none came after
	RecipientMail   int       `json:"recipient_messages"`          // to this recipient, from anybody
	PairAccepted    *int      `json:"pair_accepted,omitempty"`     // of the pair that were let in; nil = deliveries are not indexed
	RecipientInside bool      `json:"recipient_internal"`          // the recipient is in an internal domain
	Verdict         string    `json:"policy_would_stop,omitempty"` // the policy that would stop it now

	Says []string `json:"says"` // what follows, a sentence each
	Ask  []string `json:"ask"`  // what to ask or to check next
}

// Gap is a time in which the index holds nothing from anybody.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Coverage is how a followed log stood when it was asked.
type Coverage struct {
	Path     string    `json:"path"`
	LastLine time.Time `json:"last_line,omitzero"` // when its newest line was read
	Behind   int64     `json:"behind_bytes"`
	Problem  string    `json:"problem,omitempty"`
}

// leastGap is the shortest silence that counts as a gap, in spans of the
// histogram.
const leastGap = 3

// gapSpans is how many spans a time is cut into to look for silence.
const gapSpans = 168

// Unseen looks for messages of a pair of addresses within a query's time, and
// for proof that they would have been seen.
func (r Reader) Unseen(ctx context.Context, from, to mail.Path, within index.Query, policy string) (Unseen, error) {
	a := r.app
	now := a.Now()
	u := Unseen{From: string(from), To: string(to), Since: within.Since, Until: within.Until, Gaps: []Gap{}, Sources: []Coverage{}, RecipientInside: a.Set().Internal(to), Verdict: policy}
	if u.Until.IsZero() || u.Until.After(now) {
		u.Until = now
	}
	look := func(terms ...index.Term) (index.Page, int, int, error) {
		q := within
		q.Terms = terms
		page, err := r.Page(ctx, q, "", mostNewest)
		if err != nil {
			return page, 0, 0, err
		}
		total, err := r.Count(ctx, q)
		return page, total.Count, total.Older, err
	}
	sender, recipient := index.Term{Field: "from", Value: string(from.Fold())}, index.Term{Field: "to", Value: string(to.Fold())}
	page, n, _, err := look(sender, recipient)
	if err != nil {
		return u, err
	}
	u.Messages = n
	for i := range page.Rows {
		u.Newest = append(u.Newest, page.Rows[i].ID)
	}
	if _, u.Indexed, _, err = look(); err != nil {
		return u, err
	}
	if _, u.SenderMessages, _, err = look(sender); err != nil {
		return u, err
	}
	if _, u.RecipientMail, _, err = look(recipient); err != nil {
		return u, err
	}
	if err := u.domainSeen(from.Domain(), look); err != nil {
		return u, err
	}
	if a.Config.All {
		let := 0
		for _, outcome := range []string{"delivered", "accepted"} {
			_, n, _, err := look(sender, recipient, index.Term{Field: "is", Value: outcome})
			if err != nil {
				return u, err
			}
			let += n
		}
		u.PairAccepted = &let
	}
	if u.Gaps, err = r.gaps(ctx, within, u); err != nil {
		return u, err
	}
	for _, st := range a.Sources() {
		u.Sources = append(u.Sources, Coverage{Path: st.Path, LastLine: st.LastLine, Behind: st.Behind, Problem: st.Problem})
	}
	u.conclude()
	return u, nil
}

// mostNewest is how many of the pair's messages are named.
const mostNewest = 5

// domainSeen tells whether the sender's domain, or a host of it, came at all.
func (u *Unseen) domainSeen(domain string, look func(...index.Term) (index.Page, int, int, error)) error {
	if domain == "" {
		return nil
	}
	page, n, older, err := look(index.Term{Field: "from", Value: domain})
	if err != nil {
		return err
	}
	u.DomainMessages, u.DomainOlder = n, older
	if len(page.Rows) > 0 {
		u.DomainLast = page.Rows[0].Time
	}
	_, u.HostMessages, _, err = look(index.Term{Field: "host", Value: domain})
	return err
}

// gaps are the silences longer than leastGap spans in which the index holds
// nothing from anybody. Where mail is rare, silence says little: then there
// are none.
func (r Reader) gaps(ctx context.Context, within index.Query, u Unseen) ([]Gap, error) {
	gaps := []Gap{}
	q := within
	q.Terms, q.Until = nil, u.Until
	bars, err := r.Histogram(ctx, q, gapSpans)
	if err != nil || len(bars) < 2 || u.Indexed < 2*gapSpans {
		return gaps, err
	}
	span := bars[1].Start.Sub(bars[0].Start)
	silent := 0
	for i := 0; i <= len(bars); i++ {
		if i < len(bars) && len(bars[i].Counts) == 0 {
			silent++
			continue
		}
		if silent >= leastGap {
			gaps = append(gaps, Gap{From: bars[i-silent].Start, To: bars[i-1].Start.Add(span)})
		}
		silent = 0
	}
	return gaps, nil
}

// conclude says what follows from the numbers, and what to ask next (the
// vendor's article, "Emails Not Being Received").
func (u *Unseen) conclude() {
	say := func(format string, args ...any) { u.Says = append(u.Says, fmt.Sprintf(format, args...)) }
	ask := func(text string) { u.Ask = append(u.Ask, text) }
	_, domain, _ := strings.Cut(u.From, "@")
	if u.Messages > 0 {
		say("%d messages of %s to %s were seen: the newest is %s", u.Messages, u.From, u.To, u.Newest[0])
		ask("read its answer: mailwhy why " + u.Newest[0])
		return
	}
	say("no refused, deferred or failed message of %s to %s was seen", u.From, u.To)
	u.coverage(say)
	switch {
	case u.SenderMessages > 0:
		say("%s was seen %d times, writing to others: ask whether the recipient's address was right", u.From, u.SenderMessages)
		ask("the exact recipient address the sender used")
	case u.DomainMessages > 0:
		say("%d messages came from %s, none of this address", u.DomainMessages, domain)
		ask("the envelope sender (Return-Path) the message had: a mailing service uses another one than the From line shows")
	case u.HostMessages > 0:
		say("hosts of %s connected %d times, for other senders", domain, u.HostMessages)
		ask("the envelope sender (Return-Path) the message had")
	case u.DomainOlder > 0:
		say("nothing of %s was seen in this time, %d messages before it", domain, u.DomainOlder)
		ask("the time of sending: was it before the time looked at?")
	default:
		say("neither %s nor a host of it was seen at all", domain)
		ask("whether the sender got a notice of failure, and its whole text: mailwhy explain reads it")
		ask("whether the message still waits in the sender's own server or was sent elsewhere: the MX of the recipient's domain must lead to these gateways")
	}
	switch {
	case u.PairAccepted == nil:
		say("messages that were let in are not indexed here, so it may have been delivered")
		ask("the gateway's message tracking, and the recipient's junk folder, rules and quarantine")
	case *u.PairAccepted > 0:
		say("%d messages of the pair were let in", *u.PairAccepted)
		ask("the recipient's junk folder, rules and quarantine")
	}
	if u.Verdict != "" {
		say("if it came now, %s would stop it", u.Verdict)
	}
	if !u.RecipientInside {
		say("%s is not in an internal domain of the policy file", u.To)
		ask("whether mail for this domain is routed through these gateways at all")
	} else {
		ask("whether the message was routed internally or through a journalling connector, past these gateways")
	}
}

// coverage says how far "never seen" can be relied on.
func (u *Unseen) coverage(say func(string, ...any)) {
	switch {
	case u.Indexed == 0:
		say("nothing of anybody was seen in this time: that proves nothing, the logs of it may be missing")
	case len(u.Gaps) == 0:
		say("%d messages of others were seen in this time, without a gap", u.Indexed)
	}
	for i, g := range u.Gaps {
		if i == 5 {
			say("and %d more gaps", len(u.Gaps)-i)
			break
		}
		say("nothing of anybody was seen from %s to %s: logs may be missing", g.From.UTC().Format("2006-01-02 15:04"), g.To.UTC().Format("2006-01-02 15:04 MST"))
	}
	for _, s := range u.Sources {
		switch {
		case s.Problem != "":
			say("%s is not read: %s", s.Path, s.Problem)
		case s.Behind > 0:
			say("%s is read %d bytes behind its end", s.Path, s.Behind)
		}
	}
}
