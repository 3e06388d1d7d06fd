// Package journal reads systemd's journal, by journalctl(1), into a spool, which
// the ordinary tail follows (see logparse/spool).
//
// The journal has no lines and no offsets; its entries have cursors. Each is
// kept as the line of JSON that journalctl prints, whose __CURSOR field is the
// checkpoint: a restart goes on behind the cursor of the newest line that the
// spool has, so the two cannot disagree.
//
//	r := journal.New(journal.Options{Spool: s, Units: []string{"postfix@-.service"}})
//	err := r.Run(ctx)
package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"mailwhy/logparse/spool"
)

// Options of a reader.
type Options struct {
	Spool       *spool.Spool
	Units       []string      // whose entries are read; empty = all
	Identifiers []string      // of syslog, whose entries are read; empty = all
	Directory   string        // of the journal's files; "" = the system's
	Since       time.Duration // how far back the first reading begins; 0 = 7 days
	Command     string        // "" = journalctl
}

// longestEntry is the longest entry that is taken, in bytes of JSON.
const longestEntry = 1 << 20

// fields are what is kept of an entry; cursor and stamp always are.
const fields = "MESSAGE,SYSLOG_IDENTIFIER,_COMM,SYSLOG_PID,_PID,_HOSTNAME,_SOURCE_REALTIME_TIMESTAMP"

// Reader reads one journal.
type Reader struct{ options Options }

// New prepares a reader; nothing is started yet.
func New(o Options) *Reader {
	if o.Command == "" {
		o.Command = "journalctl"
	}
	if o.Since <= 0 {
		o.Since = 7 * 24 * time.Hour
	}
	return &Reader{o}
}

// ErrAbsent says that this system has no journalctl.
var ErrAbsent = errors.New("journalctl is not there: the journal can be read where systemd is; name the log files instead")

// Check says whether there is a journalctl.
func (r *Reader) Check() error {
	if _, err := exec.LookPath(r.options.Command); err != nil {
		return fmt.Errorf("%w (%w)", ErrAbsent, err)
	}
	return nil
}

// Run follows the journal until ctx ends; then nil is returned. An error is of
// journalctl, and a later Run goes on.
func (r *Reader) Run(ctx context.Context) error {
	err := r.read(ctx, "--follow", "--no-tail")
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("journalctl ended")
	}
	return err
}

// Once reads what the journal has now.
func (r *Reader) Once(ctx context.Context) error { return r.read(ctx) }

func (r *Reader) read(ctx context.Context, more ...string) error {
	if err := r.Check(); err != nil {
		return err
	}
	args, err := r.arguments()
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, r.options.Command, append(args, more...)...)
	c.Env = append(c.Environ(), "LC_ALL=C")
	var said tailOf
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start journalctl: %w", err)
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start journalctl: %w", err)
	}
	err = r.take(ctx, out)
	if err != nil {
		_ = c.Process.Kill()
	}
	if waitErr := c.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("journalctl: %w: %s", waitErr, said.last())
	}
	return err
}

// arguments begin behind the newest entry that the spool has.
func (r *Reader) arguments() ([]string, error) {
	args := []string{"--output=json", "--output-fields=" + fields, "--quiet", "--no-pager"}
	if r.options.Directory != "" {
		args = append(args, "--directory="+r.options.Directory)
	}
	for _, u := range r.options.Units {
		args = append(args, "--unit="+u)
	}
	for _, id := range r.options.Identifiers {
		args = append(args, "--identifier="+id)
	}
	last, err := r.options.Spool.Last()
	if err != nil {
		return nil, err
	}
	var entry struct {
		Cursor string `json:"__CURSOR"`
	}
	if last != nil {
		if err := json.Unmarshal(last, &entry); err != nil {
			return nil, fmt.Errorf("read the cursor of the spool's last line: %w", err)
		}
	}
	if entry.Cursor != "" {
		return append(args, "--after-cursor="+entry.Cursor), nil
	}
	return append(args, fmt.Sprintf("--since=-%ds", int(r.options.Since.Seconds()))), nil
}

// together is how many entries are written at once, at most.
const together = 512

// take writes entries to the spool until there are no more.
func (r *Reader) take(ctx context.Context, out io.Reader) error {
	in := bufio.NewReaderSize(out, longestEntry)
	var batch [][]byte
	for skip := false; ; {
		line, err := in.ReadSlice('\n')
		whole := err == nil && !skip
		skip = errors.Is(err, bufio.ErrBufferFull)
		if line = bytes.TrimSpace(line); whole && len(line) > 0 && line[0] == '{' {
			batch = append(batch, bytes.Clone(line))
		}
		if ended := err != nil && !skip; len(batch) > 0 && (ended || len(batch) == together || !moreBuffered(in)) {
			if err := r.options.Spool.Append(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
		switch {
		case err == nil || skip:
		case errors.Is(err, io.EOF):
			return nil
		default:
			return fmt.Errorf("read from journalctl: %w", err)
		}
	}
}

// moreBuffered reports whether another whole line is here already.
func moreBuffered(in *bufio.Reader) bool {
	here, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(here, '\n') >= 0
}

// tailOf keeps the end of what a program says.
type tailOf struct{ text []byte }

func (t *tailOf) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	t.text = t.text[max(len(t.text)-1000, 0):]
	return len(p), nil
}

func (t *tailOf) last() string {
	said := strings.TrimSpace(string(t.text))
	return said[strings.LastIndexByte(said, '\n')+1:]
}
