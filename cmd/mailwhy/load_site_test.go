package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// loadSite is a folder with a server's files: an index of so many messages,
// made anew or found as the last run left it.
type loadSite struct {
	t       *testing.T
	dir     string
	program string // the built binary

	key     gossh.Signer
	keyFile string
	server  *exec.Cmd
	address string // of its SSH server
	metrics string

	openFiles  int // before anybody came, see settle
	goroutines float64
}

func newLoadSite(t *testing.T, dir string, messages, sessions int) *loadSite {
	t.Helper()
	site := &loadSite{t: t, dir: dir, program: filepath.Join(t.TempDir(), "mailwhy")}
	if out, err := exec.Command("go", "build", "-o", site.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	port, err := anyPort()
	must(t, err)
	site.metrics = "http://127.0.0.1:" + port + "/metrics"
	site.writeKey()
	policy, err := os.ReadFile("testdata/openssh/site/policy.yaml")
	must(t, err)
	site.write("policy.yaml", string(policy))
	site.write("mail.log", "")
	site.write("config.yaml", fmt.Sprintf(`sources: [mail.log]
policy: policy.yaml
data: data
serve: {address: "127.0.0.1:0", authorized_keys: keys, metrics: "127.0.0.1:%s", sessions: %[2]d, sessions_per_key: %[2]d, unauthenticated: %[2]d, connections_per_minute: 100000, login_time: 2m}
access: {users: {anna: {role: operator}}}
`, port, sessions))
	if _, err := os.Stat(filepath.Join(dir, "data")); errors.Is(err, os.ErrNotExist) {
		site.fill(messages)
	}
	return site
}

func (s *loadSite) write(name, text string) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
}

func (s *loadSite) writeKey() {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(s.t, err)
	s.key, err = gossh.NewSignerFromKey(private)
	must(s.t, err)
	block, err := gossh.MarshalPrivateKey(private, "")
	must(s.t, err)
	s.keyFile = filepath.Join(s.dir, "key")
	s.write("key", string(pem.EncodeToMemory(block)))
	s.write("keys", `user="anna" `+string(gossh.MarshalAuthorizedKey(s.key.PublicKey())))
}

// fill makes the index from a log of the last six days.
func (s *loadSite) fill(messages int) {
	s.t.Helper()
	log := filepath.Join(s.dir, "history.log")
	f, err := os.Create(log)
	must(s.t, err)
	out := bufio.NewWriter(f)
	r := mathrand.New(mathrand.NewPCG(1, 2))
	zipf := mathrand.NewZipf(r, 1.1, 8, 300_000)
	const span = 6 * 24 * time.Hour
	start := time.Now().UTC().Add(-span)
	for i := range messages {
		rank := zipf.Uint64()
		at := start.Add(time.Duration(i) * (span / time.Duration(messages)))
		fmt.Fprintf(out, "datetime=%s|aCode=a%d|acc=C0A0|IP=203.0.113.%d|RejType=Envelope Rejected|RejCode=550|Dir=Inbound|headerFrom=|Sender=user%d@d%d.example|Rcpt=u%d@corp.example|Act=Rej|RejInfo=Administrative prohibition - envelope blocked\n",
			at.Format("2006-01-02T15:04:05-0700"), i, r.IntN(256), rank, rank%2000, r.IntN(5000))
	}
	must(s.t, errors.Join(out.Flush(), f.Close()))
	for _, args := range [][]string{{"ingest", "history.log"}, {"index", "compact"}} {
		c := exec.Command(s.program, append(args, "--config", "config.yaml")...)
		c.Dir = s.dir
		if out, err := c.CombinedOutput(); err != nil {
			s.t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	must(s.t, os.Remove(log))
}

var listens = regexp.MustCompile(`(?m)^ssh on (\S+),`)

// serve starts the server and waits until it listens.
func (s *loadSite) serve() {
	s.t.Helper()
	said, err := os.Create(filepath.Join(s.dir, "said"))
	must(s.t, err)
	s.t.Cleanup(func() { said.Close() })
	s.server = exec.Command(s.program, "serve", "--config", "config.yaml")
	s.server.Dir, s.server.Stdout, s.server.Stderr = s.dir, said, said
	s.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a test that is killed
	must(s.t, s.server.Start())
	s.t.Cleanup(func() {
		_ = s.server.Process.Signal(os.Interrupt) // it may have ended
		if err := s.server.Wait(); err != nil {
			text, _ := os.ReadFile(said.Name()) // all that there is to show
			s.t.Errorf("the server ended: %v\n%s", err, text)
		}
	})
	s.eventually("the server listens", func() bool {
		text, err := os.ReadFile(said.Name())
		must(s.t, err)
		found := listens.FindSubmatch(text)
		if found != nil {
			s.address = string(found[1])
		}
		return found != nil
	})
	s.eventually("the metrics answer", func() bool {
		_, err := s.scrape()
		return err == nil
	})
}

func (s *loadSite) eventually(what string, done func() bool) (took time.Duration) {
	s.t.Helper()
	begun := time.Now()
	for ; !done(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			s.t.Fatalf("this did not come: %s", what)
		}
	}
	return time.Since(begun)
}

// scrape reads the server's metrics, on a connection of its own.
func (s *loadSite) scrape() (map[string]float64, error) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(s.metrics)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = n
		}
	}
	return values, nil
}

func (s *loadSite) measured(name string) float64 {
	s.t.Helper()
	all, err := s.scrape()
	must(s.t, err)
	value, known := all[name]
	if !known {
		s.t.Fatalf("there is no metric %s", name)
	}
	return value
}

// files is how many file descriptors the server has open.
func (s *loadSite) files() int {
	s.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.server.Process.Pid))
	must(s.t, err)
	return len(list)
}

// anonymous is the server's anonymous memory in bytes.
func (s *loadSite) anonymous() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.server.Process.Pid))
	must(s.t, err)
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	must(s.t, err)
	return kB << 10
}
