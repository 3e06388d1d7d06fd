package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// dialect is what distinguishes one gateway's list file from another's.
type dialect struct {
	special string // characters of an address that the format reads as something else
	// lines gives the key and value of an entry; the error says why the list
	// cannot hold it. limits are what the entry does not lift here.
	lines func(r row) (lines map[string]string, limits []string, err error)
	write func(key, value string) string // one line of the file
	// remove makes the gateway forget keys before they leave the file, so that
	// a crash between the two cannot leave one behind; nil = the file is all.
	// rest is what others wrote.
	remove func(ctx context.Context, keys []string, rest []byte) error
	// put makes the gateway take in the file as it now is; nil = it reads it
	// for every message.
	put func(ctx context.Context, values map[string]string) error
	// query asks the gateway what it has for some keys; nil = it cannot be
	// asked, and the file is read again.
	query func(ctx context.Context, keys []string) (map[string]string, error)
	lifts func(m *mail.Message, rest []byte) (bool, string)
}

// list is a gateway with a list file of which one marked block is ours.
type list struct {
	name  string
	block block
	d     dialect
}

// Name is the gateway's name in the configuration.
func (l *list) Name() string { return l.name }

// Lifts tells whether an entry of this list can undo a refusal.
func (l *list) Lifts(m *mail.Message) (bool, string) {
	_, rest, err := l.block.read()
	if err != nil {
		return false, err.Error()
	}
	return l.d.lifts(m, rest)
}

// Fits tells what an entry cannot lift here, or why the list cannot hold it.
func (l *list) Fits(e Entry) ([]string, error) {
	r, err := rowOf(e, l.d.special)
	if err != nil {
		return nil, err
	}
	_, limits, err := l.d.lines(r)
	return limits, err
}

// wanted are the lines for the entries, by key, and the exceptions behind each.
func (l *list) wanted(want []Entry) (values map[string]string, ids map[string][]int, err error) {
	values, ids = map[string]string{}, map[string][]int{}
	for _, e := range want {
		r, err := rowOf(e, l.d.special)
		if err != nil {
			return nil, nil, fmt.Errorf("exception %d: %w", e.ID, err)
		}
		lines, _, err := l.d.lines(r)
		if err != nil {
			return nil, nil, fmt.Errorf("exception %d: %w", e.ID, err)
		}
		for key, value := range lines {
			values[key] = value
			ids[key] = append(ids[key], e.ID)
		}
	}
	return values, ids, nil
}

// file is what our block shall say.
func (l *list) file(want []Entry) ([]string, map[string]string, error) {
	values, ids, err := l.wanted(want)
	if err != nil {
		return nil, nil, err
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		lines = append(lines, "# exception "+strings.Trim(fmt.Sprint(ids[key]), "[]"), l.d.write(key, values[key]))
	}
	return lines, values, nil
}

// Plan is the difference between our block and what it shall say, and what the
// gateway does not know of it yet.
func (l *list) Plan(ctx context.Context, want []Entry) (Plan, error) {
	have, _, err := l.block.read()
	if err != nil {
		return nil, err
	}
	lines, values, err := l.file(want)
	if err != nil {
		return nil, err
	}
	p := difference(have, lines)
	if len(p) == 0 && l.d.query != nil && len(values) > 0 {
		known, err := l.d.query(ctx, slices.Sorted(maps.Keys(values)))
		if err != nil {
			return nil, err
		}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if known[key] != values[key] {
				p = append(p, "+ "+l.d.write(key, values[key])+" (the gateway lost it)")
			}
		}
	}
	return p, nil
}

func difference(have, shall []string) Plan {
	var p Plan
	for _, line := range have {
		if !slices.Contains(shall, line) && !strings.HasPrefix(line, "#") {
			p = append(p, "- "+line)
		}
	}
	for _, line := range shall {
		if !slices.Contains(have, line) && !strings.HasPrefix(line, "#") {
			p = append(p, "+ "+line)
		}
	}
	return p
}

// Apply writes our block and makes the gateway take it in.
func (l *list) Apply(ctx context.Context, want []Entry) error {
	have, rest, err := l.block.read()
	if err != nil {
		return err
	}
	lines, values, err := l.file(want)
	if err != nil {
		return err
	}
	var gone []string
	for _, line := range have {
		if key := l.keyOf(line); key != "" {
			if _, still := values[key]; !still {
				gone = append(gone, key)
			}
		}
	}
	if len(gone) > 0 && l.d.remove != nil {
		if err := l.d.remove(ctx, gone, rest); err != nil {
			return err
		}
	}
	if !slices.Equal(have, lines) {
		if err := l.block.write(lines); err != nil {
			return err
		}
	}
	if l.d.put == nil {
		return nil
	}
	return l.d.put(ctx, values)
}

// keyOf is the key of a line that we wrote, "" for a comment.
func (l *list) keyOf(line string) string {
	if strings.HasPrefix(line, "#") {
		return ""
	}
	key := line
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		key = line[:i]
	}
	return strings.TrimSuffix(key, ":")
}

// Verify asks the gateway for every wanted key.
func (l *list) Verify(ctx context.Context, want []Entry) error {
	values, ids, err := l.wanted(want)
	if err != nil || len(values) == 0 {
		return err
	}
	known := map[string]string{}
	if l.d.query != nil {
		if known, err = l.d.query(ctx, slices.Sorted(maps.Keys(values))); err != nil {
			return err
		}
	} else if err := l.reread(values, known); err != nil {
		return err
	}
	failed := EntryErrors{}
	for key, value := range values {
		if known[key] != value {
			for _, id := range ids[key] {
				failed[id] = fmt.Errorf("it was written to %s, but the gateway answers %q for %s instead of %q", l.block.path, known[key], key, value)
			}
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (l *list) reread(values, known map[string]string) error {
	have, _, err := l.block.read()
	if err != nil {
		return err
	}
	for key, value := range values {
		if slices.Contains(have, l.d.write(key, value)) {
			known[key] = value
		}
	}
	return nil
}

// Withdraw takes our block out of the file.
func (l *list) Withdraw(ctx context.Context) error { return l.Apply(ctx, nil) }

// commandPatience is the longest that a gateway's own command may take.
const commandPatience = 20 * time.Second

// runCommand runs one of the gateway's commands with its input, without a
// shell. The error carries what it said.
func runCommand(ctx context.Context, input string, argv ...string) (string, error) {
	if len(argv) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.WaitDelay = time.Second
	c.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err := c.Run()
	var status *exec.ExitError
	if errors.As(err, &status) || err == nil {
		said := strings.TrimSpace(complaint.String())
		if err != nil {
			return out.String(), &commandError{command: argv[0], said: short(said), err: err}
		}
		return out.String(), nil
	}
	return "", fmt.Errorf("run %s: %w", argv[0], err)
}

// commandError is a command of the gateway that ended with a failure.
type commandError struct {
	command, said string
	err           error
}

func (e *commandError) Error() string {
	if e.said == "" {
		return fmt.Sprintf("%s failed: %v", e.command, e.err)
	}
	return fmt.Sprintf("%s failed: %s", e.command, e.said)
}

func (e *commandError) Unwrap() error { return e.err }
