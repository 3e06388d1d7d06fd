package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mailwhy/cmd/internal/app"
	"mailwhy/index"
)

// unseen looks for messages of a pair since a time, and where there is none
// says how far "we never saw it" can be relied on and what to ask next. Status
// 0: some were seen, 1: none.
func (s *session) unseen(ctx context.Context, f whyFlags, args []string) error {
	if len(args) > 0 || f.messages != "" || f.policyID != "" || f.from == "" {
		return errors.New("--since goes with --from A --to B alone: it looks for messages of the two")
	}
	m, err := f.message()
	if err != nil {
		return err
	}
	return s.withApp(ctx, func(a *app.App, who app.Person) error {
		within, err := index.ParseQuery("since:"+f.since, a.Now(), a.Config.Location())
		if err != nil || len(within.Terms) > 0 {
			return fmt.Errorf("--since %q is not known: write 7d, 12h, a day such as 2026-11-23, or a time", f.since)
		}
		u, err := a.For(who).Unseen(ctx, m.EnvelopeFrom, m.Recipient, within)
		if err != nil {
			return err
		}
		if s.json {
			err = s.printJSON(s.stdout, u)
		} else {
			err = s.printUnseen(u)
		}
		if err == nil && u.Messages == 0 {
			return errNothing
		}
		return err
	})
}

func (s *session) printUnseen(u app.Unseen) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s -> %s, %s to %s\n", u.From, u.To, u.Since.UTC().Format("2006-01-02 15:04"), u.Until.UTC().Format("2006-01-02 15:04 MST"))
	for _, text := range u.Says {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	b.WriteString("next:\n")
	for _, text := range u.Ask {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	_, err := fmt.Fprint(s.stdout, plain(b.String()))
	return err
}
