package app

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"mailwhy/cmd/internal/audit"
	"mailwhy/engine/exception"
)

// record takes a change into force and records it. The journal of exceptions
// has it already: a change that the audit misses is complained of, not undone.
func (a *App) record(actor exception.Actor, event audit.Event, e exception.Exception, err error) (exception.Exception, error) {
	if err != nil {
		return e, err
	}
	a.applyExceptions()
	var people []string
	for _, value := range []string{e.From.Value, e.To.Value} {
		if strings.Contains(value, "@") {
			people = append(people, value)
		}
	}
	a.Note(audit.Entry{Event: event, Actor: actor.Name, Role: string(actor.Role), Exception: e.ID, Message: e.MessageID, Ticket: e.Ticket}, people...)
	return e, nil
}

// Note records what was done; that it could not be is among the Troubles.
func (a *App) Note(entry audit.Entry, people ...string) {
	err := a.Record(entry, people...)
	if err == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.auditProblem = err.Error()
}

// Record records what was done, and says so in the log, where no address stands
// but the audit's head does: a log that is kept elsewhere anchors the chain.
func (a *App) Record(entry audit.Entry, people ...string) error {
	if err := a.Audit.Note(entry, people...); err != nil {
		a.logger().Error("not recorded", "event", string(entry.Event), "error", err.Error())
		return err
	}
	words := []any{"event", string(entry.Event)}
	for _, w := range [][2]string{{"actor", entry.Actor}, {"role", entry.Role}, {"key", entry.Key}, {"message", entry.Message}, {"ticket", entry.Ticket}, {"reason", entry.Reason}} {
		if w[1] != "" {
			words = append(words, w[0], w[1])
		}
	}
	if entry.Exception != 0 {
		words = append(words, "exception", entry.Exception)
	}
	a.logger().Info("done", append(words, "audit_head", a.Audit.Head().String())...)
	return nil
}

func (a *App) logger() *slog.Logger {
	if a.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return a.Log
}

// Create journals an exception, or a proposal of one; it is in force, or waits,
// when it returns.
func (a *App) Create(ctx context.Context, actor exception.Actor, p exception.Proposal) (exception.Exception, error) {
	e, err := a.Exceptions.Create(ctx, a.Set(), actor, p)
	event := audit.Create
	if e.Awaiting != "" {
		event = audit.Propose
	}
	return a.record(actor, event, e, err)
}

// Approve puts a proposal into force.
func (a *App) Approve(ctx context.Context, actor exception.Actor, id int) (exception.Exception, error) {
	e, err := a.Exceptions.Approve(ctx, actor, id)
	return a.record(actor, audit.Approve, e, err)
}

// Revoke ends an exception now, or declines a proposal.
func (a *App) Revoke(ctx context.Context, actor exception.Actor, id int, reason string) (exception.Exception, error) {
	e, err := a.Exceptions.Revoke(ctx, actor, id, reason)
	return a.record(actor, audit.Revoke, e, err)
}

// Confirm records that an exception's steps were done on the gateway.
func (a *App) Confirm(ctx context.Context, actor exception.Actor, id int) (exception.Exception, error) {
	e, err := a.Exceptions.Confirm(ctx, actor, id)
	return a.record(actor, audit.Confirm, e, err)
}

// Extend moves an exception's expiry.
func (a *App) Extend(ctx context.Context, actor exception.Actor, id int, until time.Time, reason string) (exception.Exception, error) {
	e, err := a.Exceptions.Extend(ctx, actor, id, until, reason)
	return a.record(actor, audit.Extend, e, err)
}
