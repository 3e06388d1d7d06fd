package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// How far back the use of policies is counted.
const (
	usageFor  = 30 * 24 * time.Hour
	mostUsage = 50_000 // messages, the newest
)

// Usage counts which policies decided the messages of the last 30 days, at
// most the newest 50,000.
func (a *App) Usage(ctx context.Context) (engine.Usage, error) {
	now := a.Now()
	var failed error
	u, err := engine.UsageOf(ctx, a.Set(), now.Add(-usageFor), now, mostUsage, func(yield func(mail.Message) bool) {
		for m, err := range a.Index.Messages(ctx, index.Query{Since: now.Add(-usageFor)}) {
			if err != nil {
				failed = err
				return
			}
			if !yield(m) {
				return
			}
		}
	})
	return u, errors.Join(err, failed)
}

// Lint looks for entries of the policy file that do not do what they seem to,
// with the use that the index knows of. Without a policy file nothing is found.
func (a *App) Lint(ctx context.Context) ([]engine.LintFinding, engine.Usage, error) {
	u, err := a.Usage(ctx)
	if err != nil || a.Config.Policy == "" {
		return nil, u, err
	}
	data, err := os.ReadFile(a.Config.Policy)
	if err != nil {
		return nil, u, fmt.Errorf("read policy file: %w", err)
	}
	a.mu.RLock()
	base := a.base
	a.mu.RUnlock()
	usage := &u
	if u.Messages == 0 {
		usage = nil // an empty index says nothing about use
	}
	return engine.Lint(base, a.Config.Policy, data, usage, a.Now()), u, nil
}
