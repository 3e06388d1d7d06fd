package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Exit status of every command.
const (
	exitFound   = 0
	exitNothing = 1
	exitError   = 2
)

// errNothing ends a command that found nothing: status 1, no sentence.
var errNothing = errors.New("nothing found")

// session is one invocation: its streams and the flags every command has.
type session struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
}

func runCommand(ctx context.Context, s *session, args []string) int {
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.stdin)
	root.SetOut(s.stdout)
	root.SetErr(s.stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitFound
	case errors.Is(err, errNothing):
		return exitNothing
	}
	fmt.Fprintln(s.stderr, err)
	return exitError
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:           "mailwhy",
		Short:         "why a message was rejected or deferred, and what lets the next one through",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.AddCommand(newParse(s), newWhy(s), newExplain(s), newPolicy(s), newVersion(s))
	return root
}

func (s *session) addJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&s.json, "json", false, "print NDJSON")
	return c
}

// printJSON writes one line of NDJSON.
func (s *session) printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// buffered returns a writer for many lines and the function that ends it.
func (s *session) buffered() (*bufio.Writer, func() error) {
	w := bufio.NewWriterSize(s.stdout, 1<<16)
	return w, w.Flush
}

func (s *session) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
