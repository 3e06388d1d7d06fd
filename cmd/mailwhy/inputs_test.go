package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// served is a data folder whose owner, a process of its own, can be killed.
type served struct {
	t      *testing.T
	dir    string
	config string
	env    []string
	owner  *exec.Cmd
}

// newServed writes a configuration; %DIR% in it is a fresh folder.
func newServed(t *testing.T, config string) *served {
	t.Helper()
	dir := t.TempDir()
	s := &served{t: t, dir: dir, config: filepath.Join(dir, "config.yaml"), env: append(os.Environ(), "HOME="+dir)}
	config = "data: %DIR%/data\nserve: {address: \"\"}\n" + config
	if err := os.WriteFile(s.config, []byte(strings.ReplaceAll(config, "%DIR%", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

func (s *served) command(args ...string) *exec.Cmd {
	c := exec.Command("mailwhy", append(args, "--config", s.config)...)
	c.Env = s.env
	return c
}

// start starts the owner and returns when the sources say want.
func (s *served) start(want string) {
	s.t.Helper()
	s.owner = s.command("serve")
	s.owner.Stderr = s.t.Output()
	if err := s.owner.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.until(want, "sources", "--json")
}

// kill ends the owner as a crash would.
func (s *served) kill() {
	if s.owner != nil {
		_ = s.owner.Process.Kill()
		_ = s.owner.Wait()
		s.owner = nil
	}
}

// until asks again until the answer holds want.
func (s *served) until(want string, args ...string) string {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, _ := s.command(args...).CombinedOutput() // what counts is what it says
		if bytes.Contains(out, []byte(want)) {
			return string(out)
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("mailwhy %v never said %s; last:\n%s", args, want, out)
		}
	}
}

// spooled waits until a spool holds a text.
func (s *served) spooled(name, text string) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(s.dir, "data", "spool", name, "*.log"))
		if err != nil {
			s.t.Fatal(err)
		}
		for _, path := range files {
			if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the spool %s never held %q", name, text)
		}
	}
}

// TestSyslogOverKills ships lines over TCP and UDP to an owner that is killed
// again and again: what reached the spool is found, each message once, its
// evidence in the spool, and each sender's source has its own row.
func TestSyslogOverKills(t *testing.T) {
	tcp, udp := freePort(t), freePort(t)
	s := newServed(t, fmt.Sprintf(`syslog:
  - {name: stream, protocol: tcp, address: "127.0.0.1:%s", senders: {mx9: [127.0.0.9]}}
  - {name: packets, protocol: udp, address: "127.0.0.1:%s"}
`, tcp, udp))
	n := 0
	for round := range 3 {
		s.start(fmt.Sprintf("listens on 127.0.0.1:%s", udp))
		s.until(fmt.Sprintf("listens on 127.0.0.1:%s", tcp), "sources", "--json")
		stream, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%s", tcp))
		if err != nil {
			t.Fatal(err)
		}
		packets, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%s", udp))
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			text := "<22>" + rejection(n)
			if round%2 == 1 {
				text = fmt.Sprintf("%d %s", len(text), text)
			}
			fmt.Fprint(stream, text)
			n++
			fmt.Fprint(packets, "<22>"+rejection(n))
			n++
		}
		s.spooled("stream", fmt.Sprintf("row%d@", n-2))
		s.spooled("packets", fmt.Sprintf("row%d@", n-1))
		s.kill()
		_, _ = stream.Close(), packets.Close()
	}
	s.start(fmt.Sprintf("listens on 127.0.0.1:%s", tcp))
	from9, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).Dial("tcp", fmt.Sprintf("127.0.0.1:%s", tcp))
	if err != nil {
		t.Fatal(err)
	}
	defer from9.Close()
	fmt.Fprint(from9, "<22>"+rejection(n))
	n++
	s.until(fmt.Sprintf(`"total":%d,"shown":1`, n), "search", "--json", "--limit", "1", "since:all")
	found := s.until("row0@", "search", "--json", "--limit", fmt.Sprint(2*n), "since:all")
	for i := range n {
		if times := strings.Count(found, fmt.Sprintf(`"envelope_from":"row%d@example.net"`, i)); times != 1 {
			t.Errorf("message %d is found %d times", i, times)
		}
	}
	if want := filepath.Join(s.dir, "data", "spool", "mx9", "00000001.log"); !strings.Contains(found, want) {
		t.Errorf("no evidence in %s", want)
	}
	sources := s.until(`"lines":2,`, "sources", "--json") // the file's own first line, and the message
	for _, want := range []string{fmt.Sprintf("stream (syslog tcp 127.0.0.1:%s)", tcp), fmt.Sprintf("mx9 (syslog tcp 127.0.0.1:%s)", tcp), fmt.Sprintf("packets (syslog udp 127.0.0.1:%s)", udp)} {
		if strings.Count(sources, want) != 1 {
			t.Errorf("no one row %q:\n%s", want, sources)
		}
	}
}

// siemVendor is an account of the API whose log grows; it holds one file of
// two refusals a page.
type siemVendor struct {
	mu    sync.Mutex
	files int
	asked int
	base  string
}

func (v *siemVendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	var at int
	switch {
	case r.URL.Path == "/oauth/token":
		fmt.Fprint(w, `{"access_token":"t","expires_in":1800}`)
	case v.asked%7 == 0:
		w.Header().Set("X-RateLimit-Reset", "10")
		w.WriteHeader(http.StatusTooManyRequests)
	case strings.HasPrefix(r.URL.Path, "/files/"):
		fmt.Sscanf(r.URL.Path, "/files/%d", &at)
		z := gzip.NewWriter(w)
		for n := 2 * at; n < 2*at+2; n++ {
			fmt.Fprintf(z, `{"timestamp":%d,"accountId":"C0A0","aggregateId":"agg%d","processingId":"p%d","type":"receipt","subtype":"Rej","action":"Rej","senderEnvelope":"row%d@example.net","recipients":"u@example.com","senderIp":"192.0.2.7","direction":"Inbound","rejectionType":"Manual Envelope Rejection","rejectionCode":"550","rejectionInfo":"Administrative prohibition - envelope blocked"}`+"\n",
				time.Now().UnixMilli()+int64(n), n, n, n)
		}
		_ = z.Close()
	default:
		fmt.Sscanf(r.URL.Query().Get("nextPage"), "after-%d", &at)
		value := ""
		if r.URL.Query().Get("type") == "receipt" && at < v.files {
			value = fmt.Sprintf(`{"url":"%s/files/%d?signature=s1gned"}`, v.base, at)
			at++
		}
		fmt.Fprintf(w, `{"value":[%s],"@nextPage":"after-%d","isCaughtUp":%v}`, value, at, at == v.files)
	}
}

func (v *siemVendor) grow(by int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files += by
}

// TestSIEMOverKills reads an account while its owner is killed again and again:
// each event is found once, and no secret stands in a file or is said.
func TestSIEMOverKills(t *testing.T) {
	v := &siemVendor{files: 3}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.base = server.URL
	s := newServed(t, fmt.Sprintf("siem: [{name: cloud, url: %q, every: 1s, credentials: %%DIR%%/keys.yaml}]\n", server.URL))
	keys := filepath.Join(s.dir, "keys.yaml")
	if err := os.WriteFile(keys, []byte("client_id: id\nclient_secret: s3cret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.until("can be read by others: chmod 600 it", "ingest")
	if err := os.Chmod(keys, 0o600); err != nil {
		t.Fatal(err)
	}
	s.until("cloud ("+server.URL+")  mimecast-v2  7 lines", "ingest") // six, and the file's own first
	for round := range 3 {
		v.grow(5)
		s.start(`"path":"cloud (`)
		s.spooled("cloud", fmt.Sprintf("row%d@", 2*(3+5*round)))
		s.kill()
	}
	n := 2 * 18
	s.start("all was read at ")
	s.until(fmt.Sprintf(`"total":%d,"shown":1`, n), "search", "--json", "--limit", "1", "since:all")
	found := s.until("row0@", "search", "--json", "--limit", fmt.Sprint(2*n), "since:all")
	for i := range n {
		if times := strings.Count(found, fmt.Sprintf(`"envelope_from":"row%d@example.net"`, i)); times != 1 {
			t.Errorf("event %d is found %d times", i, times)
		}
	}
	said := found + s.until("cloud", "sources", "--json")
	s.kill()
	said += s.until("siem cloud: its keys are there", "doctor")
	if err := filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		said += string(data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cret", "s1gned"} {
		if strings.Contains(said, secret) {
			t.Errorf("%s is said or written down", secret)
		}
	}
}

// TestJournalAsSource reads the journal by a journalctl of the test's.
func TestJournalAsSource(t *testing.T) {
	s := newServed(t, "journal: [{name: journal, units: [postfix.service]}]\n")
	entry := func(n int) string {
		return fmt.Sprintf(`{"__CURSOR":"c%d","__REALTIME_TIMESTAMP":"%d","_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/smtpd","SYSLOG_PID":"7","MESSAGE":"NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.1.1 <u@example.com>: Recipient address rejected: no; from=<row%d@example.net> to=<u@example.com> proto=ESMTP helo=<x>"}`, n, time.Now().UnixMicro()+int64(n), n)
	}
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *--after-cursor=c2*) ;; *--after-cursor=c1*) echo '%s' ;; *) echo '%s' ;; esac\n", entry(2), entry(1))
	if err := os.WriteFile(filepath.Join(s.dir, "journalctl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PATH")
	s.env = append(s.env, "PATH="+s.dir+":"+path)
	for range 3 {
		s.until("journal (journal)", "ingest")
	}
	found := s.until(`"total":2,"shown":2`, "search", "--json", "since:all")
	for n := 1; n <= 2; n++ {
		if times := strings.Count(found, fmt.Sprintf(`"envelope_from":"row%d@example.net"`, n)); times != 1 {
			t.Errorf("entry %d is found %d times", n, times)
		}
	}
	if err := os.Remove(filepath.Join(s.dir, "journalctl")); err != nil {
		t.Fatal(err)
	}
	mailwhy, err := exec.LookPath("mailwhy")
	if err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+filepath.Dir(mailwhy))
	s.until("journalctl is not there: the journal can be read where systemd is", "doctor")
}
