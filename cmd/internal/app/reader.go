package app

import (
	"context"
	"strings"
	"sync"
	"time"

	"mailwhy/cmd/internal/audit"
	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Reader is the index and the exceptions as one person sees them. Whatever is
// shown to a person comes through one.
type Reader struct {
	app   *App
	veil  Veil
	who   exception.Actor
	noted *noted // what the audit was told already; nil with nothing masked
}

// For gives a person's reader.
func (a *App) For(p Person) Reader {
	r := Reader{app: a, veil: p.Veil, who: p.Actor}
	if p.Veil.Masks() {
		r.noted = &noted{told: map[string]bool{}}
	}
	return r
}

// noted keeps a look that is repeated every second from being told each time.
type noted struct {
	mu   sync.Mutex
	told map[string]bool
}

func (n *noted) first(what string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told[what] {
		return false
	}
	n.told[what] = true
	return true
}

// noteSearch records whose mail a role looks for that does not see all of it.
func (r Reader) noteSearch(q index.Query) {
	if r.noted == nil {
		return
	}
	var people []string
	for _, t := range q.Terms {
		if strings.Index(t.Value, "@") > 0 {
			people = append(people, t.Value)
		}
	}
	if len(people) > 0 && r.noted.first("search "+strings.Join(people, " ")) {
		r.app.Note(audit.Entry{Event: audit.Search, Actor: r.who.Name, Role: string(r.who.Role)}, people...)
	}
}

// noteView records which message such a role looks at.
func (r Reader) noteView(m mail.Message) {
	if r.noted != nil && r.noted.first("view "+m.ID) {
		r.app.Note(audit.Entry{Event: audit.View, Actor: r.who.Name, Role: string(r.who.Role), Message: m.ID})
	}
}

// Page is a page of what a query finds.
func (r Reader) Page(ctx context.Context, q index.Query, after index.Cursor, limit int) (index.Page, error) {
	r.noteSearch(q)
	q, err := q.Veiled(r.veil.Veil)
	if err != nil {
		return index.Page{}, err
	}
	if told := r.app.Searched; told != nil {
		begun := time.Now()
		defer func() { told(time.Since(begun)) }()
	}
	page, err := r.app.Index.Page(ctx, q, after, limit)
	if err == nil && !r.veil.Lifted() {
		rows := make([]mail.Message, 0, len(page.Rows))
		for _, m := range page.Rows {
			rows = append(rows, r.veil.Message(m))
		}
		page.Rows = rows
	}
	return page, err
}

// Evidence fills in the lines of rows that Page gave.
func (r Reader) Evidence(ctx context.Context, rows []mail.Message) error {
	if err := r.app.Index.Evidence(ctx, rows); err != nil {
		return err
	}
	for i := range rows {
		rows[i] = r.veil.Message(rows[i])
	}
	return nil
}

// Get is one message as the person sees it; index.ErrNotFound when it is not
// there for them.
func (r Reader) Get(ctx context.Context, id string) (mail.Message, error) {
	m, err := r.Whole(ctx, id)
	if err == nil {
		r.noteView(m)
	}
	return r.veil.Message(m), err
}

// Whole is one message as it is, to be decided on and not to be shown;
// index.ErrNotFound when it is not there for the person.
func (r Reader) Whole(ctx context.Context, id string) (mail.Message, error) {
	m, err := r.app.Message(ctx, id)
	if err == nil && !r.veil.Sees(&m) {
		return mail.Message{}, index.ErrNotFound
	}
	return m, err
}

// Count is how many a query finds.
func (r Reader) Count(ctx context.Context, q index.Query) (index.Total, error) {
	q, err := q.Veiled(r.veil.Veil)
	if err != nil {
		return index.Total{}, err
	}
	return r.app.Index.Count(ctx, q)
}

// Histogram is what a query finds over time.
func (r Reader) Histogram(ctx context.Context, q index.Query, n int) ([]index.Bucket, error) {
	q, err := q.Veiled(r.veil.Veil)
	if err != nil {
		return nil, err
	}
	return r.app.Index.Histogram(ctx, q, n)
}

// Causes groups what a query finds by rule, sender domain and reason.
func (r Reader) Causes(ctx context.Context, q index.Query) ([]index.Cause, error) {
	q, err := q.Veiled(r.veil.Veil)
	if err != nil {
		return nil, err
	}
	list, err := r.app.Index.Causes(ctx, q)
	for i := range list {
		c := &list[i]
		c.Rule, c.Reason = r.veil.Text(c.Rule), r.veil.Text(c.Reason)
	}
	return list, err
}

// Changed returns a channel closed when messages were added or changed.
func (r Reader) Changed() <-chan struct{} { return r.app.Index.Changed() }

// Impact counts over all messages, but names none that the person does not see.
func (r Reader) Impact(ctx context.Context, change engine.Change) (engine.ImpactReport, error) {
	return r.ImpactIn(ctx, r.app.Set(), change)
}

// ImpactIn is Impact for a change of another set.
func (r Reader) ImpactIn(ctx context.Context, set *engine.Set, change engine.Change) (engine.ImpactReport, error) {
	report, err := r.app.ImpactIn(ctx, set, change)
	var worst []string
	for _, id := range report.Worst {
		if _, getErr := r.Whole(ctx, id); getErr == nil {
			worst = append(worst, id)
		}
	}
	report.Worst = worst
	return report, err
}

// Exceptions are those that speak of nothing hidden, newest first.
func (r Reader) Exceptions() []exception.Exception {
	var list []exception.Exception
	for _, e := range r.app.Exceptions.List() {
		if r.veil.SeesException(e) {
			list = append(list, veilTexts(r.veil, e))
		}
	}
	return list
}
