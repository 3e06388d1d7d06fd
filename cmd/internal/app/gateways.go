package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"mailwhy/cmd/internal/audit"
	"mailwhy/cmd/internal/config"
	"mailwhy/engine"
	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/engine/publish"
	"mailwhy/engine/publish/gate"
)

// gateways is what makes exceptions effective.
type gateways struct {
	decisions  *gate.Log
	publishers []publish.Publisher
	workers    []*publish.Worker

	mu       sync.Mutex
	news     bool              // the journal changed since the workers last looked
	working  bool              // the workers run
	troubles map[string]string // by gateway; what a person should hear
}

// DecisionsName is the log of the gates in the data folder.
const DecisionsName = "decisions.jsonl"

// openGateways makes what the configuration names; nothing is asked yet.
func (a *App) openGateways() error {
	g := &a.gateways
	g.decisions = gate.OpenLog(filepath.Join(a.Config.Data, DecisionsName))
	g.troubles = map[string]string{}
	for _, own := range []struct {
		name string
		gate config.Gate
	}{{"milter", a.Config.Milter}, {"policy_service", a.Config.PolicyService}} {
		if own.gate.Listen != "" && own.gate.Mode == string(gate.Enforce) {
			g.publishers = append(g.publishers, &gate.Publisher{GateName: own.name, Listen: own.gate.Listen, EnvelopeOnly: own.name == "policy_service", Log: g.decisions,
				InForce: func(id int) bool { return a.inSet(id) }})
		}
	}
	for _, c := range a.Config.Publish {
		p, err := newPublisher(c, a.Config.Data)
		if err != nil {
			return err
		}
		g.publishers = append(g.publishers, p)
	}
	for _, p := range g.publishers {
		g.workers = append(g.workers, publish.NewWorker(p, ledger{a}, publish.WorkerOptions{Now: a.Now,
			Report: func(drift publish.Plan) { g.note(p.Name(), driftSentence(drift)) },
			Failed: func(err error) { g.note(p.Name(), err.Error()) }}))
	}
	g.news = false // what loading the journal said is none
	return nil
}

func driftSentence(drift publish.Plan) string {
	return fmt.Sprintf("it did not hold what the journal says (%s); it was put right", strings.Join(drift, ", "))
}

func newPublisher(c config.Gateway, data string) (publish.Publisher, error) {
	switch c.Kind {
	case "postfix-sqlite":
		return publish.NewSQLite(publish.SQLiteOptions{Name: c.Name, Path: c.Path, ConfigDir: c.ConfigDir, Map: c.Config, Command: c.Command}), nil
	case "mimecast":
		return newMimecast(c, data)
	case "exim":
		return publish.NewExim(publish.EximOptions{Name: c.Name, Path: c.Path, Command: c.Command, Config: c.Config}), nil
	case "opensmtpd":
		return publish.NewOpenSMTPD(publish.OpenSMTPDOptions{Name: c.Name, Path: c.Path, Table: c.Table, Command: c.Command}), nil
	case "sendmail":
		return publish.NewSendmail(publish.SendmailOptions{Name: c.Name, Path: c.Path, Command: c.Command}), nil
	case "rspamd":
		return publish.NewRspamd(publish.RspamdOptions{Name: c.Name, Path: c.Path, Reload: c.Reload}), nil
	case "spamassassin":
		return publish.NewSpamAssassin(publish.SpamAssassinOptions{Name: c.Name, Path: c.Path, Command: c.Command, Reload: c.Reload}), nil
	}
	if kind, ok := strings.CutPrefix(c.Kind, "postfix-"); ok {
		return publish.NewPostfix(publish.PostfixOptions{Name: c.Name, Type: kind, Path: c.Path, ConfigDir: c.ConfigDir})
	}
	return nil, fmt.Errorf("gateway %s: kind %q is not known", c.Name, c.Kind)
}

// inSet reports whether the set in force holds an exception.
func (a *App) inSet(id int) bool {
	origin := fmt.Sprintf("exception %d", id)
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.ContainsFunc(a.applied, func(c engine.Change) bool { return c.Origin == origin })
}

func (g *gateways) note(gateway, sentence string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.troubles[gateway] = sentence
}

// kick tells the workers that the journal has news.
func (g *gateways) kick() {
	g.mu.Lock()
	g.news = true
	g.mu.Unlock()
	for _, w := range g.workers {
		w.Kick()
	}
}

// PublishNow does once what the workers of an owner do all the time: a command
// that changed the journal and ends at once carries it to the gateways itself.
// What fails stays in the journal, to be tried again by the next owner.
func (a *App) PublishNow(ctx context.Context) error {
	a.gateways.mu.Lock()
	idle := a.gateways.news && !a.gateways.working
	a.gateways.mu.Unlock()
	if !idle {
		return nil
	}
	var all error
	for _, w := range a.gateways.workers {
		_, err := w.Round(ctx)
		all = errors.Join(all, err)
	}
	return all
}

// Worker is work of an owner in the background. Run returns nil once ctx has
// ended.
type Worker struct {
	Name string
	Run  func(ctx context.Context) error
}

// Workers are the gates that listen and the workers that publish.
func (a *App) Workers() []Worker {
	var list []Worker
	for _, w := range a.gateways.workers {
		list = append(list, Worker{"publishing", func(ctx context.Context) error {
			a.gateways.mu.Lock()
			a.gateways.working = true
			a.gateways.mu.Unlock()
			return w.Run(ctx)
		}})
	}
	for _, own := range []struct {
		name  string
		gate  config.Gate
		serve func(*gate.Gate, context.Context, string) error
	}{{"milter", a.Config.Milter, serveMilter}, {"policy service", a.Config.PolicyService, serveDelegation}} {
		if own.gate.Listen != "" {
			g := gate.New(gate.Options{Set: a.Set, Log: a.gateways.decisions, Mode: gate.Mode(own.gate.Mode), FailClosed: own.gate.Fail == "closed", Now: a.Now})
			list = append(list, Worker{own.name, func(ctx context.Context) error { return own.serve(g, ctx, own.gate.Listen) }})
		}
	}
	return list
}

func serveMilter(g *gate.Gate, ctx context.Context, where string) error {
	l, err := gate.Listen(where)
	if err != nil {
		return err
	}
	return g.Milter(ctx, l)
}

func serveDelegation(g *gate.Gate, ctx context.Context, where string) error {
	l, err := gate.Listen(where)
	if err != nil {
		return err
	}
	return g.Delegation(ctx, l)
}

// WorkBeside runs the workers until ctx ends, beside a person who looks at the
// screens: what fails is a trouble there, and the rest goes on.
func (a *App) WorkBeside(ctx context.Context) {
	var running sync.WaitGroup
	for _, w := range a.Workers() {
		running.Go(func() {
			if err := w.Run(ctx); err != nil {
				a.gateways.note(w.Name, err.Error())
			}
		})
	}
	running.Wait()
}

// Gateways are the publishers, in the order of the configuration.
func (a *App) Gateways() []publish.Publisher { return a.gateways.publishers }

// Message is a message of the index with what our own gates know about it.
// index.ErrNotFound where there is none.
func (a *App) Message(ctx context.Context, id string) (mail.Message, error) {
	m, err := a.Index.Get(ctx, id)
	return a.Recall(m), err
}

// Recall adds to a message what our own gates know about it: the policy behind
// the token at the end of its reply, and the header from that the mail
// server's log does not give.
func (a *App) Recall(m mail.Message) mail.Message {
	return gate.Recall(a.gateways.decisions, m)
}

func (g *gateways) all() []Trouble {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Trouble
	for _, name := range slices.Sorted(maps.Keys(g.troubles)) {
		list = append(list, Trouble{name, g.troubles[name]})
	}
	return list
}

// ledger is the journal as the workers see it.
type ledger struct{ app *App }

// Items are all exceptions with their standing on one gateway.
func (l ledger) Items(gateway string) []publish.Item {
	now := l.app.Now()
	changes := l.app.Exceptions.Changes()
	var items []publish.Item
	for _, e := range l.app.Exceptions.List() {
		if e.ID > len(changes) {
			continue // made between the two calls; the kick for it is on its way
		}
		r, _ := e.Receipt(gateway)
		items = append(items, publish.Item{
			Entry:   publish.Entry{ID: e.ID, Narrative: e.Narrative, Change: changes[e.ID-1], Expires: e.Expires},
			InForce: e.InForce(now),
			Standing: publish.Standing{State: publish.State(r.State), Detail: r.Detail, Limits: r.Limits, Why: r.Why,
				Attempts: r.Attempts, RetryAt: r.RetryAt},
		})
	}
	return items
}

// Note journals a standing, and records it where it is another than before: a
// gateway that is out of reach is tried for days.
func (l ledger) Note(ctx context.Context, gateway string, id int, s publish.Standing) error {
	var before exception.Receipt
	if e, ok := l.app.Exceptions.Get(id); ok {
		before, _ = e.Receipt(gateway)
	}
	err := l.app.Exceptions.NotePublished(ctx, id, []exception.Receipt{{Gateway: gateway, State: exception.PublishState(s.State), Detail: s.Detail,
		Limits: s.Limits, Why: s.Why, Attempts: s.Attempts, RetryAt: s.RetryAt}})
	if err != nil {
		return err
	}
	l.app.tell()
	if before.State == exception.PublishState(s.State) {
		return nil
	}
	l.app.Note(audit.Entry{Event: audit.Publish, Actor: "mailwhy", Exception: id, Reason: gateway + ": " + string(s.State)})
	return nil
}
