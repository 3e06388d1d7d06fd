package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"mailwhy/engine/reply"
)

// mostBounce is how much of a pasted bounce is read, in bytes.
const mostBounce = 1 << 20

func newExplain(s *session) *cobra.Command {
	return s.addJSON(&cobra.Command{
		Use:   "explain TEXT|-",
		Short: "what a reply or a pasted bounce means",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text := strings.Join(args, " ")
			if text == "-" {
				data, err := io.ReadAll(io.LimitReader(s.stdin, mostBounce))
				if err != nil {
					return fmt.Errorf("read standard input: %w", err)
				}
				text = string(data)
			}
			return s.printExplanation(reply.Explain(text))
		},
	})
}

func (s *session) printExplanation(e reply.Explanation) error {
	if s.json {
		if err := s.printJSON(s.stdout, e); err != nil {
			return err
		}
	} else {
		var b strings.Builder
		for _, line := range [][2]string{{"Means", e.Meaning}, {"Cause", e.Cause}, {"Side", e.Side}, {"Layer", e.Layer}, {"Source", e.Source}} {
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
