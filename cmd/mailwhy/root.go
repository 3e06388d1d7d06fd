package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"mailwhy/cmd/internal/app"
	"mailwhy/engine"
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
	args           []string
	json           bool
	configPath     string
	data           string

	app    *app.App // set in the owner's process, for commands of others
	caller caller   // with app
}

func runCommand(ctx context.Context, s *session, args []string) int {
	s.args = args
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
		if err != errNothing {
			fmt.Fprintln(s.stderr, plain(err.Error()))
		}
		return exitNothing
	}
	var elsewhere forwarded
	if errors.As(err, &elsewhere) {
		return int(elsewhere)
	}
	fmt.Fprintln(s.stderr, plain(err.Error()))
	return exitError
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:           "mailwhy",
		Short:         "why a message was rejected or deferred, and what lets the next one through",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return s.screens(c.Context()) },
	}
	s.addData(root)
	if s.app == nil { // what needs no data folder, the owner of one does not run for others
		root.AddCommand(
			newDemo(s),
			newParse(s),
			newCheck(s),
			newConfig(s),
			newServe(s),
			newVersion(s),
		)
	}
	root.AddCommand(
		newIngest(s),
		newSearch(s),
		newShow(s),
		newWhy(s),
		newExplain(s),
		newExcept(s, engine.KindBypass),
		newExcept(s, engine.KindPermit),
		newExcept(s, engine.KindRelay),
		newException(s),
		newManaged(s),
		newPolicy(s),
		newSources(s),
		newCauses(s),
		newAudit(s),
		newIndex(s),
		newForget(s),
		newDoctor(s),
	)
	if s.app != nil {
		root.AddCommand(newVersion(s))
		root.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		root.CompletionOptions.DisableDefaultCmd = true
		s.caller.fence(root)
	}
	return root
}

func (s *session) addJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&s.json, "json", false, "print NDJSON")
	return c
}

// printJSON writes one line of NDJSON, with the characters that could steer a
// terminal escaped: JSON itself escapes only those below U+0020.
func (s *session) printJSON(w io.Writer, v any) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escapeControls(line.Bytes()))
	return err
}

// escapeControls writes DEL, C1 and bidirectional controls as \u escapes. They
// occur in strings alone, so the line says the same.
func escapeControls(line []byte) []byte {
	steers := func(r rune) bool {
		return r >= 0x7f && r < 0xa0 || r == 0x061c || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}
	if bytes.IndexFunc(line, steers) < 0 {
		return line
	}
	var out []byte
	for _, r := range string(line) {
		if steers(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// buffered returns a writer for many lines and the function that ends it.
func (s *session) buffered() (*bufio.Writer, func() error) {
	w := bufio.NewWriterSize(s.stdout, 1<<16)
	return w, w.Flush
}

func (s *session) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
