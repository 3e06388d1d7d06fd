package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine/reply"
	"mailwhy/index"
)

// mostBounce is how much of a pasted bounce is read, in bytes.
const mostBounce = 1 << 20

func newExplain(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "explain TEXT|-",
		Short: "what a reply or a pasted bounce means, and which message it is about",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			base, indexed, err := s.knowledge()
			if err != nil {
				return err
			}
			if !indexed {
				text, err := s.pasted(args)
				if err != nil {
					return err
				}
				return s.printExplanation(explained{Explanation: base(text)})
			}
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				text, err := s.pasted(args)
				if err != nil {
					return err
				}
				e := explained{Explanation: base(text)}
				if e.Message, err = messageOf(c.Context(), a.For(who), text); err != nil {
					return err
				}
				return s.printExplanation(e)
			})
		},
	})
}

// explained is an explanation with the message it is about, where the index
// holds it.
type explained struct {
	reply.Explanation
	Message string `json:"message,omitempty"` // id
}

// knowledge gives the base that explains, and whether there is an index to look
// into: explain works without one and makes none.
func (s *session) knowledge() (explain func(string) reply.Explanation, indexed bool, err error) {
	c, err := s.configuration()
	if err != nil {
		return nil, false, err
	}
	_, missing := os.Stat(filepath.Join(c.Data, "index"))
	if c.Knowledge == "" {
		return reply.Explain, missing == nil, nil
	}
	base, err := reply.LoadOver(os.DirFS(c.Knowledge))
	if err != nil {
		return nil, false, fmt.Errorf("knowledge folder %s: %w", c.Knowledge, err)
	}
	return base.Explain, missing == nil, nil
}

func (s *session) pasted(args []string) (string, error) {
	text := strings.Join(args, " ")
	if text != "-" {
		return text, nil
	}
	data, err := io.ReadAll(io.LimitReader(s.stdin, mostBounce))
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return string(data), nil
}

// messageOf finds the newest message that has one of the ids a text names; ""
// when there is none.
func messageOf(ctx context.Context, r app.Reader, text string) (string, error) {
	for _, id := range reply.IDs(text) {
		page, err := r.Page(ctx, index.Query{Terms: []index.Term{{Field: "mid", Value: strings.ToLower(id)}}}, "", 1)
		if err != nil {
			return "", err
		}
		if len(page.Rows) > 0 {
			return page.Rows[0].ID, nil
		}
	}
	return "", nil
}

func (s *session) printExplanation(e explained) error {
	if s.json {
		if err := s.printJSON(s.stdout, e); err != nil {
			return err
		}
	} else {
		var b strings.Builder
		for _, line := range [][2]string{{"Means", e.Meaning}, {"Cause", e.Cause}, {"Side", e.Side}, {"Layer", e.Layer}, {"Source", e.Source}, {"Message", e.Message}} {
			if line[1] != "" {
				fmt.Fprintf(&b, "%-7s %s\n", line[0], line[1])
			}
		}
		for i, step := range e.Steps {
			fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
		}
		if _, err := io.WriteString(s.stdout, plain(b.String())); err != nil {
			return err
		}
	}
	if !e.Known {
		return errNothing
	}
	return nil
}
