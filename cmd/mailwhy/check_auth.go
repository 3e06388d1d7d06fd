package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/index"
	"mailwhy/logparse"
	"mailwhy/logparse/tail"
	"mailwhy/tui/cell"
)

// longestLine bounds a line of a log that is read for sign-ins, in bytes.
const longestLine = 1 << 20

// newCheckAuth tells who failed to sign in, and from where.
func newCheckAuth(s *session) *cobra.Command {
	var logs []string
	c := s.addJSON(&cobra.Command{
		Use:   "auth [--log FILE] [--] [QUERY]",
		Short: "refused sign-ins (535) by account and client, from the index or a mail server's log",
		RunE: func(c *cobra.Command, args []string) error {
			tally := app.SignInTally{}
			if len(logs) > 0 {
				if len(args) > 0 {
					return errors.New("--log reads a whole log: a query goes with the index alone")
				}
				for _, name := range logs {
					if err := s.signIns(c.Context(), name, tally); err != nil {
						return err
					}
				}
				return s.printSignIns(tally.List(), "")
			}
			return s.withApp(c.Context(), func(a *app.App, who app.Person) error {
				q, err := index.ParseQuery(strings.Join(args, " "), a.Now(), a.Config.Location())
				if err != nil {
					return err
				}
				if err := a.For(who).SignIns(c.Context(), q, tally); err != nil {
					return err
				}
				return s.printSignIns(tally.List(), "a sign-in that is refused before any message is in no index: --log FILE reads those of Postfix, Exim and Dovecot")
			})
		},
	})
	c.Flags().StringSliceVar(&logs, "log", nil, "log to read instead of the index, several allowed, compressed ones too")
	return c
}

// signIns adds the refused sign-ins of a log.
func (s *session) signIns(ctx context.Context, name string, tally app.SignInTally) error {
	path, err := s.path(name)
	if err != nil {
		return err
	}
	in, err := tail.Open(path)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	defer in.Close()
	lines := bufio.NewReaderSize(in, 64<<10)
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := boundedLine(lines)
		if signIn, ok := logparse.ReadSignIn(line); ok {
			tally.Add(strings.ToLower(signIn.Account), signIn.Client, 1, time.Time{})
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
}

// boundedLine reads to the end of a line and gives at most longestLine of it.
func boundedLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line) < longestLine {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (s *session) printSignIns(list []app.SignIns, hint string) error {
	w, flush := s.buffered()
	for _, v := range list {
		var err error
		if s.json {
			err = s.printJSON(w, v)
		} else {
			last := ""
			if !v.Last.IsZero() {
				last = v.Last.UTC().Format("2006-01-02 15:04")
			}
			_, err = fmt.Fprintf(w, "%7d  %-16s  %-39s  %s\n", v.Failures, last, cell.Clean(v.Client), cell.Clean(v.Account))
		}
		if err != nil {
			return err
		}
	}
	var err error
	if hint != "" && !s.json {
		_, err = fmt.Fprintln(w, hint)
	}
	if err = errors.Join(err, flush()); err != nil {
		return err
	}
	if len(list) == 0 {
		return errNothing
	}
	return nil
}
