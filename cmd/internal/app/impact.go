package app

import (
	"context"
	"errors"
	"iter"
	"runtime"

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
	parts, failed := a.replayed(ctx, set.Reach(change))
	report, err := engine.Impact(ctx, set, change, a.Now(), parts...)
	if err = errors.Join(append(failed, err)...); err != nil {
		return report, err
	}
	total, err := a.Index.Count(ctx, index.Query{})
	report.Examined = total.Count
	return report, err
}

// replayed yields every message that a change can touch, each once, in as many
// parts as there are processors; an error of the index ends a part and is left
// in its place of failed.
func (a *App) replayed(ctx context.Context, r engine.Reach) (parts []iter.Seq[mail.Message], failed []error) {
	n := runtime.GOMAXPROCS(0)
	failed = make([]error, n)
	var sources [][]iter.Seq2[mail.Message, error]
	for _, q := range queriesOf(r) {
		sources = append(sources, a.Index.Replayed(ctx, q, n))
	}
	for i := range n {
		parts = append(parts, func(yield func(mail.Message) bool) {
			for _, source := range sources {
				for m, err := range source[i] {
					if err != nil {
						failed[i] = err
						return
					}
					if !yield(m) {
						return
					}
				}
			}
		})
	}
	return parts, failed
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
