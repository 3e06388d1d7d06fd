package app

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index"
)

// SignIns counts refused sign-ins of one account from one client.
type SignIns struct {
	Account  string    `json:"account,omitempty"` // absent: not logged
	Client   string    `json:"client,omitempty"`  // IP address
	Failures int       `json:"failures"`
	First    time.Time `json:"first,omitzero"` // absent where only a log's lines tell of them
	Last     time.Time `json:"last,omitzero"`
}

// SignInTally sums up refused sign-ins by account and client.
type SignInTally map[[2]string]*SignIns

// Add counts n of them; at is the zero time where it is not known.
func (t SignInTally) Add(account, client string, n int, at time.Time) {
	key := [2]string{account, client}
	s := t[key]
	if s == nil {
		s = &SignIns{Account: account, Client: client}
		t[key] = s
	}
	s.Failures += n
	if at.IsZero() {
		return
	}
	if s.First.IsZero() || at.Before(s.First) {
		s.First = at
	}
	if at.After(s.Last) {
		s.Last = at
	}
}

// List gives the sums, most failures first.
func (t SignInTally) List() []SignIns {
	var list []SignIns
	for _, s := range t {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b SignIns) int {
		return cmp.Or(b.Failures-a.Failures, strings.Compare(a.Account, b.Account), strings.Compare(a.Client, b.Client))
	})
	return list
}

// SignIns adds the messages a query finds that were refused because their
// client could not sign in: 535, or the vendor's 550 "submitter failed to
// authenticate". The account is the envelope from.
func (r Reader) SignIns(ctx context.Context, q index.Query, tally SignInTally) error {
	for _, term := range []index.Term{{Field: "code", Value: "535"}, {Field: "reason", Value: "submitter"}} {
		asked := q
		asked.Terms = append(slices.Clone(q.Terms), term)
		err := r.each(ctx, asked, func(m *mail.Message) {
			if term.Field == "reason" && m.Reply.Code == 535 {
				return // counted already
			}
			tally.Add(string(cmp.Or(m.EnvelopeFrom, m.HeaderFrom).Fold()), m.Client.IP, max(m.Attempts, 1), m.Last)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls f with every message a query finds, newest first, as the person
// sees it.
func (r Reader) each(ctx context.Context, q index.Query, f func(*mail.Message)) error {
	for after := index.Cursor(""); ; {
		page, err := r.Page(ctx, q, after, 500)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			f(&page.Rows[i])
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}
