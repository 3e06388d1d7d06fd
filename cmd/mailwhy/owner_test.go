package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	"mailwhy/tui"
)

const ownerPolicy = `version: 1
internal_domains: [corp.example]
groups: {Vendors: {members: [acme.example]}}
blocked_senders:
  - id: P-007
    description: Vendor block
    option: block_sender
    from: {type: profile_group, value: Vendors}
    to: {type: internal_addresses}
`

// owner is a program that has the data folder open, as the screens have it.
type owner struct {
	t         *testing.T
	c         config.Config
	log       string
	appended  int
	runStatus int
}

func startOwner(t *testing.T) *owner {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep-", 20)) // longer than a socket's name may be
	o := &owner{t: t, c: config.Default(func(string) string { return dir }), log: filepath.Join(dir, "receipt.log")}
	o.c.Data, o.c.Policy, o.c.Sources = filepath.Join(dir, "data"), filepath.Join(dir, "policy.yaml"), []string{o.log}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o.writePolicy(ownerPolicy)
	a, err := app.Open(o.c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- own(ctx, a, tui.Options{Now: time.Now}, func(ctx context.Context) error { <-ctx.Done(); return nil })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	o.until(`"total":0`, "search", "--json") // the socket is there
	return o
}

func (o *owner) writePolicy(text string) {
	o.t.Helper()
	if err := os.WriteFile(o.c.Policy, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// reject appends a refusal and returns its sender. It is older than the policy
// file, so it is replayed with the policies of now, whatever second it is.
func (o *owner) reject() string {
	o.t.Helper()
	o.appended++
	sender := fmt.Sprintf("alice%d@acme.example", o.appended)
	f, err := os.OpenFile(o.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		o.t.Fatal(err)
	}
	fmt.Fprintf(f, "datetime=%s|aCode=a%d|acc=C0A0|IP=203.0.113.10|RejType=Envelope Rejected|RejCode=550|Dir=Inbound|headerFrom=|Sender=%s|Rcpt=bob@corp.example|Act=Rej|RejInfo=Administrative prohibition - envelope blocked\n",
		time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05-0700"), o.appended, sender)
	if err := f.Close(); err != nil {
		o.t.Fatal(err)
	}
	return sender
}

// mailwhy is a second process's command line: the folder is locked, so it goes
// through the socket.
func (o *owner) mailwhy(args ...string) string {
	var out bytes.Buffer
	o.runStatus = run(context.Background(), append(args, "--data", o.c.Data), strings.NewReader(""), &out, &out)
	return out.String()
}

// until asks again until the answer holds want, and fails after a while.
func (o *owner) until(want string, args ...string) string {
	o.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		out := o.mailwhy(args...)
		if strings.Contains(out, want) {
			return out
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("mailwhy %v never said %s; last:\n%s", args, want, out)
		}
	}
}

func idIn(t *testing.T, line string) string {
	t.Helper()
	_, rest, _ := strings.Cut(line, `"id":"`)
	id, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no id in %s", line)
	}
	return id
}

func TestOwnerAnswersOtherProcesses(t *testing.T) {
	o := startOwner(t)
	sender := o.reject()
	id := idIn(t, o.until(`"total":1`, "search", "--json", sender))
	o.until("verdict    rejected by blocked_senders P-007", "why", id)

	out := o.mailwhy("bypass", id, "--ticket", "T-1")
	if o.runStatus != exitFound || !strings.Contains(out, "after   accepted") {
		t.Fatalf("bypass: status %d\n%s", o.runStatus, out)
	}
	o.until("now        accepted", "why", id)
	o.until(`"state":"revoked"`, "exception", "revoke", "1", "--json")
	o.until("now        rejected by blocked_senders P-007", "why", id)

	if out := o.mailwhy("search", "nobody"); o.runStatus != exitNothing {
		t.Errorf("nothing found: status %d\n%s", o.runStatus, out)
	}
	for _, local := range []string{"parse", "demo", "config"} {
		peer := &session{stdin: strings.NewReader(""), stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, app: &app.App{}}
		if status := runCommand(context.Background(), peer, []string{local, "x"}); status != exitError {
			t.Errorf("the owner ran %s for another process: status %d", local, status)
		}
	}
}

func TestOwnerReadsNoFileForAnotherUser(t *testing.T) {
	s := &session{app: &app.App{}, caller: caller{dir: "/"}}
	if path, err := s.path("etc/passwd"); err == nil {
		t.Errorf("%s would be read for another user", path)
	}
	s.caller = callerOf(&app.App{}, app.Peer{UID: uint32(os.Getuid()), Dir: "/"})
	if path, err := s.path("etc/passwd"); path != "/etc/passwd" || err != nil {
		t.Errorf("a relative name of the same user: %s, %v", path, err)
	}
}

func TestPolicyEditsTakeEffectWhileRunning(t *testing.T) {
	o := startOwner(t)
	id := idIn(t, o.until(`"total":1`, "search", "--json", o.reject()))
	o.until("verdict    rejected by blocked_senders P-007", "why", id)

	begin := time.Now()
	o.writePolicy(strings.Replace(ownerPolicy, "option: block_sender", "option: no_action", 1))
	o.until("verdict    accepted", "why", id)
	if took := time.Since(begin); took > time.Second {
		t.Errorf("an edit took %v to be in force, want a second at most", took)
	}

	o.writePolicy(strings.Replace(ownerPolicy, "option: block_sender", "optoin: block_sender", 1))
	o.until(`policy.yaml:7: unknown key "optoin"`, "policy", "list")
	o.until("verdict    accepted", "why", id) // the set before the mistake

	o.writePolicy(ownerPolicy)
	o.until("verdict    rejected by blocked_senders P-007", "why", id)
	if out := o.mailwhy("policy", "list"); strings.Contains(out, "optoin") {
		t.Errorf("a mended file is still complained of:\n%s", out)
	}
}

func TestOwnerWithoutSocketIsNamed(t *testing.T) {
	o := startOwner(t)
	if err := os.Remove(filepath.Join(o.c.Data, app.SocketName)); err != nil {
		t.Fatal(err)
	}
	out := o.mailwhy("search", "x")
	want := fmt.Sprintf("is in use by process %d of ", os.Getpid())
	if o.runStatus != exitError || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
		t.Errorf("status %d, want one sentence with %q:\n%s", o.runStatus, want, out)
	}
}
