package exception

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The tests of this file run this test program again as another process that
// writes the journal, and treat it badly.

const (
	childMode    = "MAILWHY_TEST_CHILD"
	childJournal = "MAILWHY_TEST_JOURNAL"
	childName    = "MAILWHY_TEST_NAME"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case "append":
		os.Exit(childAppends(1 << 30))
	case "append-some":
		os.Exit(childAppends(20))
	case "full":
		os.Exit(childFillsDisk())
	}
	os.Exit(m.Run())
}

func childService() *Service {
	s, err := Open(os.Getenv(childJournal), Options{})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	return s
}

// childAppends creates exceptions until it is killed and prints the number of
// each one that was acknowledged.
func childAppends(most int) int {
	s := childService()
	name := os.Getenv(childName)
	for i := range most {
		p := want(fmt.Sprintf("%s%d@d%s%d.example", name, i, name, i))
		e, err := s.Create(context.Background(), policySet(), Actor{Name: name, Role: Operator}, p)
		if err != nil {
			fmt.Println("create:", err)
			return 1
		}
		fmt.Println(e.ID, e.From.Value)
	}
	return 0
}

// childFillsDisk writes until its file size limit stops it, then tries to go on.
func childFillsDisk() int {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 16 << 10, Max: 16 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println("limit:", err)
		return 1
	}
	s := childService()
	failed := 0
	for i := range 100 {
		_, err := s.Create(context.Background(), policySet(), olga, want(fmt.Sprintf("a@d%d.example", i)))
		switch {
		case errors.Is(err, syscall.EFBIG):
			failed++
		case err != nil:
			fmt.Println("create:", err)
			return 1
		case failed > 0:
			fmt.Println("a write succeeded on a full disk")
			return 1
		}
	}
	if n, err := Verify(os.Getenv(childJournal)); err != nil || n != 100-failed || failed == 0 {
		fmt.Printf("verify: %d entries, %v; %d writes failed\n", n, err, failed)
		return 1
	}
	fmt.Println(100 - failed)
	return 0
}

func child(t *testing.T, mode, path, name string) (*exec.Cmd, io.ReadCloser) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childMode+"="+mode, childJournal+"="+path, childName+"="+name)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, out
}

// acknowledged reads a line of a child: the number and sender of an exception
// that Create returned.
func acknowledged(t *testing.T, line string) (id int, sender string) {
	t.Helper()
	number, sender, _ := strings.Cut(strings.TrimSpace(line), " ")
	id, err := strconv.Atoi(number)
	if err != nil {
		t.Fatalf("the child says %q", line)
	}
	return id, sender
}

func TestKilledWhileAppending(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exceptions.jsonl")
	acked := map[int]string{}
	for round := range 20 {
		c, out := child(t, "append", path, "k"+strconv.Itoa(round)+"x")
		lines := bufio.NewReader(out)
		for n := 0; ; n++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				break // killed, and everything it said was read
			}
			id, sender := acknowledged(t, line)
			acked[id] = sender
			if n == round%7 {
				if err := c.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = c.Wait() // killed: its status is no news

		s, err := Open(path, Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if n, err := Verify(path); err != nil || n < len(acked) {
			t.Fatalf("round %d: verify: %d entries, %v; %d were acknowledged", round, n, err, len(acked))
		}
		for id, sender := range acked {
			if e, ok := s.Get(id); !ok || e.From.Value != sender {
				t.Errorf("round %d: exception %d of %s was acknowledged and is %+v", round, id, sender, e.From)
			}
		}
	}
}

func TestTwoProcessesAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exceptions.jsonl")
	var mu sync.Mutex
	var all sync.WaitGroup
	acked := map[int]string{}
	for _, name := range []string{"one", "two"} {
		c, out := child(t, "append-some", path, name)
		all.Go(func() {
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				id, sender := acknowledged(t, lines.Text())
				mu.Lock()
				if other := acked[id]; other != "" {
					t.Errorf("exception %d was given to %s and to %s", id, other, sender)
				}
				acked[id] = sender
				mu.Unlock()
			}
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n, err := Verify(path); n != 40 || len(acked) != 40 || err != nil {
		t.Errorf("verify: %d entries, %v; %d were acknowledged", n, err, len(acked))
	}
}

func TestLockedByAnother(t *testing.T) {
	b := open(t)
	f, _, err := openLocked(context.Background(), b.path, os.O_RDWR, exclusive)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Create(ended, policySet(), olga, want("a@acme.example")); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "lock journal") {
		t.Errorf("got %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b.create("a@acme.example")
}

func TestManyGoroutinesAppend(t *testing.T) {
	b := open(t)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 5 {
				_, err := b.Create(context.Background(), policySet(), olga, want(fmt.Sprintf("a@d%d-%d.example", g, i)))
				if err != nil {
					t.Error(err)
				}
				b.List()
				b.Changes()
			}
		})
	}
	all.Wait()
	b.verify(40)
}

func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exceptions.jsonl")
	c, out := child(t, "full", path, "")
	said, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	written, _ := acknowledged(t, string(said))
	if n, err := Verify(path); n != written || err != nil || n == 0 {
		t.Errorf("verify: %d entries, %v; %d were acknowledged", n, err, written)
	}
	// There is room again: the next process goes on.
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(context.Background(), policySet(), olga, want("later@acme.example")); err != nil {
		t.Error(err)
	}
}
