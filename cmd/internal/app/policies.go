package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
	"mailwhy/tui"
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

// policyLister gives the Policies screen what it shows.
type policyLister struct {
	app  *App
	veil Veil
}

func (l policyLister) Policies(ctx context.Context) (tui.PolicyReport, error) {
	findings, usage, err := l.app.Lint(ctx)
	if err != nil {
		return tui.PolicyReport{}, err
	}
	byID := map[string][]engine.LintFinding{}
	r := tui.PolicyReport{Usage: usage}
	for _, f := range findings {
		byID[f.Policy] = append(byID[f.Policy], f)
	}
	lines := l.app.policyLines()
	for _, p := range l.app.Set().Policies() {
		r.Rows = append(r.Rows, l.veiled(tui.PolicyRow{Policy: p, Use: usage.Policies[p.ID], Findings: byID[p.ID], Lines: entryLines(lines, p.Origin)}))
		delete(byID, p.ID)
	}
	for _, f := range findings {
		if _, left := byID[f.Policy]; left {
			r.Lists = append(r.Lists, veilTexts(l.veil, f))
		}
	}
	return r, nil
}

// veiled is a row as the person sees it.
func (l policyLister) veiled(row tui.PolicyRow) tui.PolicyRow {
	if l.veil.Lifted() {
		return row
	}
	var newest []mail.Message
	for _, m := range row.Use.Newest {
		if l.veil.Sees(&m) {
			newest = append(newest, l.veil.Message(m))
		}
	}
	row.Use.Newest = newest
	row.Policy.From, row.Policy.To = veilTexts(l.veil, row.Policy.From), veilTexts(l.veil, row.Policy.To)
	row.Lines, row.Findings = veilTexts(l.veil, row.Lines), veilTexts(l.veil, row.Findings)
	return row
}

// policyLines are those of the policy file; none when it cannot be read.
func (a *App) policyLines() []string {
	data, err := os.ReadFile(a.Config.Policy)
	if err != nil {
		return nil
	}
	return strings.Split(string(data), "\n")
}

// mostLines is how many lines of a policy are shown.
const mostLines = 12

// entryLines are the lines of the entry that an origin ("path:line") names: its
// first, and those that are indented more.
func entryLines(lines []string, origin string) []string {
	colon := strings.LastIndexByte(origin, ':')
	n, err := strconv.Atoi(origin[colon+1:])
	if err != nil || colon < 0 || n < 1 || n > len(lines) {
		return nil
	}
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
	end := n
	for end < len(lines) && end-n+1 < mostLines && strings.TrimSpace(lines[end]) != "" && indent(lines[end]) > indent(lines[n-1]) {
		end++
	}
	return lines[n-1 : end]
}
