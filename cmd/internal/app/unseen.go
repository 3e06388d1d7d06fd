package app

import (
	"cmp"
	"context"
	"time"

	"mailwhy/engine"
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

	Indexed  int        `json:"indexed"`            // messages of anybody in that time
	Gaps     []Gap      `json:"gaps"`               // when nothing at all was seen
	Sources  []Coverage `json:"sources"`            // the logs that are followed
	Gateways []Gateway  `json:"gateways,omitempty"` // those that logged anything in that time, by name

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

// Gateway is what was seen of one gateway in that time.
type Gateway struct {
	Name     string `json:"gateway"`
	Messages int    `json:"messages"`
	Gaps     []Gap  `json:"gaps"` // when nothing of it was seen
}

// Coverage is how a followed log stood when it was asked.
type Coverage struct {
	Path     string    `json:"path"`
	LastLine time.Time `json:"last_line,omitzero"` // when its newest line was read
	Behind   int64     `json:"behind_bytes"`
	Problem  string    `json:"problem,omitempty"`
}

// mostNewest is how many of the pair's messages are named.
const mostNewest = 5

// Unseen looks for messages of a pair of addresses within a query's time, and
// for proof that they would have been seen. Either may be a domain or another
// part of an address, and one of them may be left out.
func (r Reader) Unseen(ctx context.Context, from, to mail.Path, within index.Query) (Unseen, error) {
	a := r.app
	u := Unseen{From: string(from), To: string(to), Since: within.Since, Until: within.Until, Gaps: []Gap{}, Sources: []Coverage{}, RecipientInside: a.Set().Internal(to)}
	if now := a.Now(); u.Until.IsZero() || u.Until.After(now) {
		u.Until = now
	}
	if from.Domain() != "" && to.Domain() != "" {
		if v := engine.Decide(a.Set(), &mail.Message{EnvelopeFrom: from, Recipient: to}, a.Now()); v.Outcome != nil {
			u.Verdict = v.Policy
		}
	}
	s := sought{r, within}
	var sender, recipient []index.Term
	if from != "" {
		sender = []index.Term{{Field: "from", Value: string(from.Fold())}}
	}
	if to != "" {
		recipient = []index.Term{{Field: "to", Value: string(to.Fold())}}
	}
	pair := append(sender[:len(sender):len(sender)], recipient...)
	page, total, err := s.look(ctx, pair...)
	if err != nil {
		return u, err
	}
	u.Messages = total.Count
	for i := range page.Rows {
		u.Newest = append(u.Newest, page.Rows[i].ID)
	}
	if err := s.around(ctx, &u, sender, recipient); err != nil {
		return u, err
	}
	if a.Config.All {
		let := 0
		for _, outcome := range []string{"delivered", "accepted"} {
			_, total, err := s.look(ctx, append(pair[:len(pair):len(pair)], index.Term{Field: "is", Value: outcome})...)
			if err != nil {
				return u, err
			}
			let += total.Count
		}
		u.PairAccepted = &let
	}
	if err := s.cover(ctx, &u); err != nil {
		return u, err
	}
	u.conclude()
	return u, nil
}

// sought is a person's view of a stretch of time.
type sought struct {
	reader Reader
	within index.Query
}

// look gives the newest messages of that time and how many there are.
func (s sought) look(ctx context.Context, terms ...index.Term) (index.Page, index.Total, error) {
	q := s.within
	q.Terms = terms
	page, err := s.reader.Page(ctx, q, "", mostNewest)
	if err != nil {
		return page, index.Total{}, err
	}
	total, err := s.reader.Count(ctx, q)
	return page, total, err
}

// around tells what else was seen: of the sender, of its domain and the hosts
// of it, of the recipient, of anybody.
func (s sought) around(ctx context.Context, u *Unseen, sender, recipient []index.Term) error {
	count := func(n *int, terms ...index.Term) (err error) {
		var total index.Total
		_, total, err = s.look(ctx, terms...)
		*n = total.Count
		return err
	}
	if err := count(&u.Indexed); err != nil {
		return err
	}
	if len(recipient) > 0 {
		if err := count(&u.RecipientMail, recipient...); err != nil {
			return err
		}
	}
	if len(sender) == 0 {
		return nil
	}
	if err := count(&u.SenderMessages, sender...); err != nil {
		return err
	}
	domain := u.domain()
	page, total, err := s.look(ctx, index.Term{Field: "from", Value: domain})
	if err != nil {
		return err
	}
	u.DomainMessages, u.DomainOlder = total.Count, total.Older
	if len(page.Rows) > 0 {
		u.DomainLast = page.Rows[0].Time
	}
	return count(&u.HostMessages, index.Term{Field: "host", Value: domain})
}

// domain is that of the sender, or what of it is known.
func (u *Unseen) domain() string {
	return cmp.Or(mail.Path(u.From).Domain(), string(mail.Path(u.From).Fold()))
}
