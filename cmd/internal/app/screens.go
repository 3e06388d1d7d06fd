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

// Services gives the screens what they need, acting as one person.
func (a *App) Services(p Person) tui.Services {
	r := a.For(p)
	s := tui.Services{Searcher: r, Explainer: explainer{a, r}, Excepter: excepter{a, p.Actor, r}, Sources: sources{a, p.Veil}, Policies: policyLister{a, p.Veil}, Unseer: unseer{r, sources{a, p.Veil}}, Presence: onlooker{&a.present, p.Name}}
	if !p.Veil.Masks() { // the gateways' sentences quote their lists
		s.Lifts = a.liftLines
	}
	return s
}

type explainer struct {
	app    *App
	reader Reader
}

// whole is a row's message as it is: what is masked decides too.
func (e explainer) whole(m mail.Message) mail.Message {
	if e.reader.veil.Masks() {
		if whole, err := e.reader.Whole(context.Background(), m.ID); err == nil {
			return whole
		}
	}
	return e.app.Recall(m)
}

func (e explainer) Why(m mail.Message) engine.Trace {
	m = e.whole(m)
	return veilTexts(e.reader.veil, e.app.Why(context.Background(), &m, time.Time{}, e.app.Now()))
}

func (e explainer) Verdict(m mail.Message) (engine.Verdict, engine.Agreement) {
	m = e.whole(m)
	now := e.app.Now()
	at := m.Time
	if at.IsZero() {
		at = now
	}
	set := e.app.SetAt(at)
	v := engine.Decide(set, &m, at)
	return v, veilTexts(e.reader.veil, engine.Agree(set, &m, at, now, v))
}

func (e explainer) Policy(id string) (engine.Policy, bool) {
	for _, p := range e.app.Set().Policies() {
		if p.ID == id {
			return veilTexts(e.reader.veil, p), true
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
	app    *App
	actor  exception.Actor
	reader Reader
}

// proposal puts the message as it is in the place of the one that was shown.
func (x excepter) proposal(ctx context.Context, p exception.Proposal) exception.Proposal {
	if x.reader.veil.Masks() && p.Message.ID != "" {
		if whole, err := x.reader.Whole(ctx, p.Message.ID); err == nil {
			p.Message = whole
		}
	}
	p.Message = x.app.Recall(p.Message)
	return p
}

func (x excepter) Propose(ctx context.Context, p exception.Proposal) (exception.Draft, error) {
	return x.app.Exceptions.Propose(ctx, x.app.Set(), x.actor, x.proposal(ctx, p))
}

func (x excepter) Create(ctx context.Context, p exception.Proposal) (exception.Exception, error) {
	return x.app.Create(ctx, x.actor, x.proposal(ctx, p))
}

func (x excepter) Revoke(ctx context.Context, id int, reason string) (exception.Exception, error) {
	return x.app.Revoke(ctx, x.actor, id, reason)
}

func (x excepter) Approve(ctx context.Context, id int) (exception.Exception, error) {
	return x.app.Approve(ctx, x.actor, id)
}

func (x excepter) Confirm(ctx context.Context, id int) (exception.Exception, error) {
	return x.app.Confirm(ctx, x.actor, id)
}

func (x excepter) Extend(ctx context.Context, id int, until time.Time, reason string) (exception.Exception, error) {
	return x.app.Extend(ctx, x.actor, id, until, reason)
}

func (x excepter) Advice(m mail.Message, present engine.Verdict, loc *time.Location) string {
	return x.reader.veil.Text(x.app.Advice(&m, present, loc))
}

func (x excepter) Living(ctx context.Context, e exception.Exception) (exception.Health, error) {
	return x.reader.Living(ctx, e)
}

func (x excepter) List() []exception.Exception { return x.reader.Exceptions() }

type sources struct {
	app  *App
	veil Veil
}

func (s sources) Sources() []tui.SourceStatus {
	var list []tui.SourceStatus
	for _, t := range s.app.Troubles() {
		list = append(list, tui.SourceStatus{Path: t.Path, Problem: t.Sentence})
	}
	for _, st := range s.app.Sources() {
		if !s.veil.Lifted() {
			st.Samples = nil // lines of the log, of whom nobody knows
		}
		list = append(list, tui.SourceStatus{Path: st.Path, Format: st.Format, Lines: st.Lines, Behind: st.Behind, Lag: st.Lag, LastLine: st.LastLine,
			Unrecognised: st.Unrecognised, Samples: st.Samples, Rotated: st.Rotated, Problem: st.Problem, Note: st.Note, LetGo: st.LetGo})
	}
	return list
}

func (s sources) Backlog() tui.Backlog {
	p := s.app.Backlog()
	return tui.Backlog{Read: p.Bytes, Total: p.Total, Rate: p.Rate, Left: p.Left}
}

type unseer struct {
	reader  Reader
	sources sources
}

func (x unseer) Unseen(ctx context.Context, from, to mail.Path, within index.Query) (tui.Unseen, error) {
	u, err := x.reader.Unseen(ctx, from, to, within)
	shown := tui.Unseen{Found: u.Messages, Says: u.Says, Ask: u.Ask, Sources: x.sources.Sources()}
	for _, g := range u.Gateways {
		at := tui.GatewayInTime{Name: g.Name, Messages: g.Messages}
		for _, gap := range g.Gaps {
			at.Gaps = append(at.Gaps, [2]time.Time{gap.From, gap.To})
		}
		shown.Gateways = append(shown.Gateways, at)
	}
	return shown, err
}
