package app

import (
	"context"
	"strings"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index"
)

// When a sender domain is new: nobody has mail from it that is older than
// newFor, although the index reaches back for more than history. A shorter
// index cannot tell.
const (
	newFor  = 24 * time.Hour
	history = 7 * 24 * time.Hour
)

// seenBefore reports whether mail from a folded domain, or a host below it, was
// seen before; true when the index cannot tell.
func (a *App) seenBefore(domain string) bool {
	ctx, now := context.Background(), a.Now()
	if old, err := a.Index.Page(ctx, index.Query{Until: now.Add(-history)}, "", 1); err != nil || len(old.Rows) == 0 {
		return true
	}
	q := index.Query{Terms: []index.Term{{Field: "from", Value: domain}}, Until: now.Add(-newFor)}
	page, err := a.Index.Page(ctx, q, "", 50)
	if err != nil || page.Next != "" {
		return true
	}
	for i := range page.Rows {
		for _, sender := range []mail.Path{page.Rows[i].EnvelopeFrom, page.Rows[i].HeaderFrom} {
			if d := sender.Domain(); d == domain || strings.HasSuffix(d, "."+domain) {
				return true
			}
		}
	}
	return false
}
