package app

import (
	"context"
	"slices"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
)

// mostSince is how many messages of an exception's sender are looked at, the
// newest first.
const mostSince = 1000

// Living says how an exception does: what came since it was made, and whether
// it still is of use.
func (a *App) Living(ctx context.Context, e exception.Exception) (exception.Health, error) {
	with, without, change := a.sets(e.ID)
	var failed error
	var since []mail.Message
	span := span{since: e.Created, until: e.Until()}
	for m := range a.within(ctx, without.Reach(change), span, &failed) {
		if m.Time.Before(e.Created) {
			continue
		}
		if since = append(since, m); len(since) == mostSince {
			break
		}
	}
	if failed != nil {
		return exception.Health{}, failed
	}
	slices.SortStableFunc(since, func(x, y mail.Message) int { return y.Time.Compare(x.Time) })
	evidence, err := a.Index.Get(ctx, e.MessageID)
	if err != nil {
		evidence = e.Like() // it is older than the index, or was made up
	}
	return exception.Examine(e, with, without, evidence, since, a.Now()), nil
}

// Living is how an exception does, naming no message that the person does not
// see.
func (r Reader) Living(ctx context.Context, e exception.Exception) (exception.Health, error) {
	if whole, ok := r.app.Exceptions.Get(e.ID); ok {
		e = whole // what is masked decides too
	}
	h, err := r.app.Living(ctx, e)
	var seen []exception.Attempt
	for _, t := range h.Attempts {
		if _, getErr := r.Whole(ctx, t.Message); getErr == nil {
			seen = append(seen, t)
		}
	}
	h.Attempts = seen
	return veilTexts(r.veil, h), err
}

// sets are the set in force with every exception and with every one but one,
// and what that one does.
func (a *App) sets(id int) (with, without *engine.Set, one engine.Change) {
	changes := a.Exceptions.Changes()
	a.mu.RLock()
	base := a.base
	a.mu.RUnlock()
	if id < 1 || id > len(changes) {
		return base.Apply(changes...), base.Apply(changes...), one
	}
	one = changes[id-1]
	return base.Apply(changes...), base.Apply(slices.Delete(slices.Clone(changes), id-1, id)...), one
}

// span is a time to look in: [since, until); zero = open.
type span struct{ since, until time.Time }

// Advice is what a message's sender can be told now, a sentence.
func (a *App) Advice(m *mail.Message, present engine.Verdict, loc *time.Location) string {
	return exception.Advice(m, present, a.Exceptions.List(), a.Set().Assumptions().Propagation, a.Now(), loc)
}
