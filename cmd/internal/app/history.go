package app

import (
	"context"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// How much of a sender's past a remedy is held against.
const (
	recentFor  = 30 * 24 * time.Hour
	mostRecent = 200 // messages
)

// History is what the index knows of a message's sender: the other refusals of
// the last 30 days, at most the newest 200. What cannot be read is left out: a
// trace is worth more without it than not at all.
func (a *App) History(ctx context.Context, m *mail.Message) engine.History {
	h := engine.History{Frequent: a.Set().Correspondents()}
	sender := m.EnvelopeFrom
	if kind, _ := engine.StableSender(sender); kind != "" || !sender.Known() || sender.Null() {
		sender = m.HeaderFrom
	}
	if !sender.Known() || sender.Null() {
		return h
	}
	q := index.Query{Terms: []index.Term{{Field: "from", Value: string(sender.Fold())}}, Since: a.Now().Add(-recentFor)}
	page, err := a.Index.Page(ctx, q, "", mostRecent+1)
	if err != nil {
		return h
	}
	for i := range page.Rows {
		if o := page.Rows[i]; o.ID != m.ID && len(h.Others) < mostRecent {
			h.Others = append(h.Others, o)
		}
	}
	return h
}
