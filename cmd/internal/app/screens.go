package app

import (
	"context"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
	"mailwhy/tui"
)

// Services gives the screens what they need, acting as one user.
func (a *App) Services(actor exception.Actor) tui.Services {
	return tui.Services{Searcher: searcher{a.Index, a}, Explainer: explainer{a}, Excepter: excepter{a, actor}, Sources: sources{a}, Lifts: a.liftLines}
}

type searcher struct {
	*index.Index
	app *App
}

func (s searcher) Impact(ctx context.Context, change engine.Change) (engine.ImpactReport, error) {
	return s.app.Impact(ctx, change)
}

type explainer struct{ app *App }

func (e explainer) Why(m mail.Message) engine.Trace {
	m = e.app.Recall(m)
	return engine.WhyAmong(e.app.Set(), &m, time.Time{}, e.app.Now(), e.app.History(context.Background(), &m))
}

func (e explainer) Verdict(m mail.Message) (engine.Verdict, engine.Agreement) {
	m = e.app.Recall(m)
	set, now := e.app.Set(), e.app.Now()
	at := m.Time
	if at.IsZero() {
		at = now
	}
	v := engine.Decide(set, &m, at)
	return v, engine.Agree(set, &m, at, now, v)
}

func (e explainer) Policy(id string) (engine.Policy, bool) {
	for _, p := range e.app.Set().Policies() {
		if p.ID == id {
			return p, true
		}
	}
	return engine.Policy{}, false
}

func (e explainer) PolicyChanged() <-chan struct{} {
	e.app.mu.RLock()
	defer e.app.mu.RUnlock()
	return e.app.changed
}

type excepter struct {
	app   *App
	actor exception.Actor
}

func (x excepter) Propose(ctx context.Context, p exception.Proposal) (exception.Draft, error) {
	p.Message = x.app.Recall(p.Message)
	return x.app.Exceptions.Propose(ctx, x.app.Set(), x.actor, p)
}

func (x excepter) Create(ctx context.Context, p exception.Proposal) (exception.Exception, error) {
	p.Message = x.app.Recall(p.Message)
	return x.app.Create(ctx, x.actor, p)
}

func (x excepter) Revoke(ctx context.Context, id int, reason string) (exception.Exception, error) {
	return x.app.Revoke(ctx, x.actor, id, reason)
}

func (x excepter) Confirm(ctx context.Context, id int) (exception.Exception, error) {
	return x.app.Confirm(ctx, x.actor, id)
}

func (x excepter) Extend(ctx context.Context, id int, until time.Time, reason string) (exception.Exception, error) {
	return x.app.Extend(ctx, x.actor, id, until, reason)
}

func (x excepter) Living(ctx context.Context, e exception.Exception) (exception.Health, error) {
	return x.app.Living(ctx, e)
}

func (x excepter) List() []exception.Exception { return x.app.Exceptions.List() }

type sources struct{ app *App }

func (s sources) Sources() []tui.SourceStatus {
	var list []tui.SourceStatus
	for _, t := range s.app.Troubles() {
		list = append(list, tui.SourceStatus{Path: t.Path, Problem: t.Sentence})
	}
	for _, st := range s.app.Sources() {
		list = append(list, tui.SourceStatus{Path: st.Path, Format: st.Format, Lines: st.Lines, Behind: st.Behind, Lag: st.Lag, LastLine: st.LastLine,
			Unrecognised: st.Unrecognised, Samples: st.Samples, Rotated: st.Rotated, Problem: st.Problem})
	}
	return list
}
