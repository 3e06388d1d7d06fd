package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine/exception"
	"mailwhy/tui/cell"
)

// livingException is an exception with where it stands now and what came since
// it was made.
type livingException struct {
	exception.Exception
	State exception.State `json:"state"`
	exception.Health
}

func (s *session) printExceptions(ctx context.Context, a *app.App, r app.Reader) error {
	list := r.Exceptions()
	for _, e := range list {
		h, err := r.Living(ctx, e)
		if err != nil {
			return err
		}
		if s.json {
			err = s.printJSON(s.stdout, livingException{e, e.State(a.Now()), h})
		} else {
			line, _, _ := strings.Cut(exceptionText(e, a.Now()), "\n")
			if note := e.PublishNote(); note != "" {
				line += "  " + note
			}
			_, err = fmt.Fprintln(s.stdout, plain(line+"  "+hitsText(h)+findingsText(h)))
		}
		if err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return errNothing
	}
	return nil
}

func hitsText(h exception.Health) string {
	switch h.Hits {
	case 0:
		return "no hits"
	case 1:
		return "1 hit, " + h.LastHit.UTC().Format("2006-01-02 15:04")
	}
	return fmt.Sprintf("%d hits, the last %s", h.Hits, h.LastHit.UTC().Format("2006-01-02 15:04"))
}

func findingsText(h exception.Health) string {
	var words []string
	for _, f := range h.Findings {
		words = append(words, string(f))
	}
	if len(words) == 0 {
		return ""
	}
	return "  " + strings.Join(words, ", ")
}

// healthText is how an exception lives, a line a fact.
func healthText(h exception.Health) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s: %d let in, %d stopped\n", hitsText(h), h.LetIn, h.Stopped)
	for i, f := range h.Findings {
		fmt.Fprintf(&b, "  %s: %s\n", f, cell.Clean(h.Because[i]))
	}
	for _, t := range h.Attempts {
		fmt.Fprintf(&b, "  %s  %s  %s\n", t.Time.UTC().Format(time.DateTime), t.Outcome, cell.Clean(strings.TrimSpace(t.Message+" "+t.Because)))
	}
	return b.String()
}
