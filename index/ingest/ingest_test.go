package ingest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index"
)

const (
	childEnv   = "MAILWHY_INGEST_CHILD"
	linesInAll = 4000
)

// TestMain lets the test binary be its own victim: as a child it ingests until
// it is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		limitFiles()
		fmt.Fprintln(os.Stderr, follow(context.Background(), dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// follow runs a pump over dir/log/* into dir/data until ctx ends.
func follow(ctx context.Context, dir string) error {
	data := filepath.Join(dir, "data")
	x, err := index.Open(filepath.Join(data, "index"), index.Options{ShardDocs: 400}) // so that shards are full, and sealed
	if err != nil {
		return err
	}
	defer x.Close()
	p, err := New(Options{Sources: []string{filepath.Join(dir, "log", "maillog*")}, Data: data, Index: x, Reconcile: 20 * time.Millisecond, Every: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	fmt.Println("following")
	return p.Run(ctx)
}

// line is the n-th line of the test log. Every third is a rejection; the
// others are a deferral and, 200 lines later, its delivery.
func line(n int) string {
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second).Format("2006-01-02T15:04:05.000000-07:00")
	switch n % 3 {
	case 0:
		return fmt.Sprintf("%s mx1 postfix/smtpd[77]: NOQUEUE: reject: RCPT from mail.example.net[192.0.2.7]: 550 5.1.1 <u%d@example.com>: Recipient address rejected: User unknown; from=<a%d@example.net> to=<u%d@example.com> proto=ESMTP helo=<mail.example.net>\n", at, n, n, n)
	case 1:
		return fmt.Sprintf("%s mx1 postfix/smtp[78]: 4Q%09d: to=<d%d@example.org>, relay=mx.example.org[198.51.100.9]:25, delay=1, delays=1/0/0/0, dsn=4.2.0, status=deferred (host mx.example.org[198.51.100.9] said: 450 4.2.0 try later (in reply to RCPT TO command))\n", at, n, n)
	default:
		first := n - 1 - 201
		return fmt.Sprintf("%s mx1 postfix/smtp[78]: 4Q%09d: to=<d%d@example.org>, relay=mx.example.org[198.51.100.9]:25, delay=200, delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n", at, first, first)
	}
}

type child struct{ cmd *exec.Cmd }

func startChild(t *testing.T, dir string, env ...string) child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childEnv+"="+dir), env...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	bufio.NewScanner(out).Scan()
	return child{cmd}
}

func (c child) killAfter(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func appendLine(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// finish opens what is there and reads what is left, once. It returns what was
// found wrong. Opening takes less than a second where nothing else runs.
func finish(t *testing.T, dir string) (problems []string) {
	t.Helper()
	data := filepath.Join(dir, "data")
	start := time.Now()
	x, err := index.Open(filepath.Join(data, "index"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	p, err := New(Options{Sources: []string{filepath.Join(dir, "log", "maillog*")}, Data: data, Index: x})
	if took := time.Since(start); took > 10*time.Second || took > time.Second && (*kills > killsAlways || *powerCuts > killsAlways) {
		t.Errorf("it took %v to open", took)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	return append(x.Problems(), p.Problems()...)
}

func contents(t *testing.T, data string) map[string]mail.Outcome {
	t.Helper()
	x, err := index.Open(filepath.Join(data, "index"), index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	all := map[string]mail.Outcome{}
	for m, err := range x.Messages(t.Context(), index.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[m.ID]; twice {
			t.Errorf("%s stands twice", m.ID)
		}
		all[m.ID] = m.Outcome
	}
	return all
}

// memory is a store that tells when something was put.
type memory struct{ put chan mail.Message }

func (m memory) Put(_ context.Context, messages []mail.Message) error {
	for _, msg := range messages {
		m.put <- msg
	}
	return nil
}
func (m memory) Sync(context.Context) error { return nil }

// TestFollowing changes the log in every way rotation does and waits for the
// line written after it.
func TestFollowing(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string){
		"growth":            func(*testing.T, string) {},
		"rename and create": func(t *testing.T, p string) { check(t, os.Rename(p, p+".1")) },
		"copy and truncate": func(t *testing.T, p string) { copyFile(t, p, p+".1"); check(t, os.Truncate(p, 0)) },
		"delete and create": func(t *testing.T, p string) { check(t, os.Remove(p)) },
		"folder made anew": func(t *testing.T, p string) {
			check(t, os.RemoveAll(filepath.Dir(p)))
			check(t, os.MkdirAll(filepath.Dir(p), 0o755))
		},
		"written by rename": func(t *testing.T, p string) {
			check(t, os.WriteFile(p+".new", nil, 0o644))
			check(t, os.Rename(p+".new", p))
		},
		"symlink elsewhere":  func(t *testing.T, p string) { check(t, os.Rename(p, p+".old")); check(t, os.Symlink(p+".next", p)) },
		"appears much later": func(t *testing.T, p string) { check(t, os.Remove(p)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "log", "maillog")
			check(t, os.MkdirAll(filepath.Dir(path), 0o755))
			appendLine(t, path, line(0))
			store := memory{put: make(chan mail.Message, 100)}
			p, err := New(Options{Sources: []string{path}, Data: dir, Index: store, Reconcile: 10 * time.Millisecond})
			check(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- p.Run(ctx) }()
			waitFor(t, store, "u0@example.com")
			change(t, path)
			for n := 3; n < 30; n += 3 {
				appendLine(t, path, line(n))
			}
			waitFor(t, store, "u27@example.com")
			cancel()
			check(t, <-done)
		})
	}
}

func waitFor(t *testing.T, store memory, recipient mail.Path) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	var seen []mail.Path
	for {
		select {
		case m := <-store.put:
			if seen = append(seen, m.Recipient); m.Recipient == recipient {
				return
			}
		case <-timeout:
			t.Fatalf("%s did not come; seen %v", recipient, seen)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, data, 0o644))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDeferralDeliveredAfterARestart joins a delivery two days later with the
// deferral that was read before a restart.
func TestDeferralDeliveredAfterARestart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maillog")
	deferral := "2026-11-20T08:00:00.000000+00:00 mx1 postfix/smtp[78]: 4Qabcdefghij: to=<d@example.org>, relay=mx.example.org[198.51.100.9]:25, delay=1, delays=1/0/0/0, dsn=4.2.0, status=deferred (host mx.example.org[198.51.100.9] said: 450 4.2.0 try later (in reply to RCPT TO command))\n"
	queued := "2026-11-20T07:59:59.000000+00:00 mx1 postfix/qmgr[70]: 4Qabcdefghij: from=<a@example.net>, size=1000, nrcpt=1 (queue active)\n"
	sent := "2026-11-22T08:00:00.000000+00:00 mx1 postfix/smtp[78]: 4Qabcdefghij: to=<d@example.org>, relay=mx.example.org[198.51.100.9]:25, delay=172800, delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n"
	var ids []string
	var last mail.Message
	for _, text := range []string{queued, deferral, sent} {
		appendLine(t, path, text)
		store := memory{put: make(chan mail.Message, 10)}
		p, err := New(Options{Sources: []string{path}, Data: dir, Index: store})
		check(t, err)
		check(t, p.Once(t.Context()))
		close(store.put)
		for m := range store.put {
			ids, last = append(ids, m.ID), m
		}
	}
	if len(slices.Compact(ids)) != 1 || last.Outcome != mail.Delivered || last.EnvelopeFrom != "a@example.net" || last.Attempts != 1 {
		t.Errorf("ids %v, last %+v", ids, last)
	}
}

func (memory) Shards() []string        { return nil }
func (memory) Lost([]string) []string  { return nil }
func (memory) Regained([]string) error { return nil }
