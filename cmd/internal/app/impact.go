package app

import (
	"context"
	"errors"
	"iter"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Impact replays a change of the set in force against everything in the index.
func (a *App) Impact(ctx context.Context, change engine.Change) (engine.ImpactReport, error) {
	return a.ImpactIn(ctx, a.Set(), change)
}

// ImpactIn is Impact for a change of another set. Only what the change can
// touch is read; the rest of the index counts as examined.
func (a *App) ImpactIn(ctx context.Context, set *engine.Set, change engine.Change) (engine.ImpactReport, error) {
	var failed error
	report, err := engine.Impact(ctx, set, change, a.Now(), a.within(ctx, set.Reach(change), span{}, &failed))
	if err = errors.Join(err, failed); err != nil {
		return report, err
	}
	total, err := a.Index.Count(ctx, index.Query{})
	report.Examined = total.Count
	return report, err
}

// within yields every message of a time that a change can touch, each once; an
// error of the index ends it and is left in failed.
func (a *App) within(ctx context.Context, r engine.Reach, in span, failed *error) iter.Seq[mail.Message] {
	return func(yield func(mail.Message) bool) {
		for _, q := range queriesOf(r) {
			q.Since, q.Until = in.since, in.until
			for m, err := range a.Index.Messages(ctx, q) {
				if err != nil {
					*failed = err
					return
				}
				if !yield(m) {
					return
				}
			}
		}
	}
}

// queriesOf finds what a change can touch. A header that only the reply's words
// name is in no field of addresses: the second query is for those.
func queriesOf(r engine.Reach) []index.Query {
	var to []index.Term
	if r.Recipient != "" {
		to = append(to, index.Term{Field: "to", Value: r.Recipient})
	}
	if r.Sender == "" {
		return []index.Query{{Terms: to}}
	}
	queries := []index.Query{{Terms: append([]index.Term{{Field: "from", Value: r.Sender}}, to...)}}
	if r.Header {
		queries = append(queries, index.Query{Terms: append([]index.Term{{Field: "reason", Value: "rejected by header based"}, {Field: "from", Value: r.Sender, Not: true}}, to...)})
	}
	return queries
}
