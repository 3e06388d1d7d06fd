package main

import (
	"bytes"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	withLoad     = flag.Bool("load", false, "measure `mailwhy serve` with many sessions over SSH")
	loadSessions = flag.Int("load.sessions", 40, "sessions at once")
	loadMessages = flag.Int("load.messages", 20_000, "messages in the index")
	loadSeconds  = flag.Int("load.seconds", 5, "seconds of typing")
	loadDir      = flag.String("load.dir", "", "empty folder in which the index is kept for the next run; none = made anew")
)

// TestServeLoad starts the built program over an index and has many people
// type. What is exact is held to its bound, times are told:
//
//	go test ./cmd/mailwhy -run '^TestServeLoad$' -v -count=1 -load -load.sessions 200 -load.messages 1000000 -load.dir DIR
func TestServeLoad(t *testing.T) {
	if !*withLoad {
		t.Skip("needs -load: some 30 s of two processors")
	}
	dir := *loadDir
	if dir == "" {
		dir = t.TempDir()
	}
	site := newLoadSite(t, dir, *loadMessages, 2**loadSessions+20)
	site.serve()
	warm := site.visit("xterm-256color", nil) // what is made once is made
	site.drawn(warm, "@corp.example")
	warm.leave()
	site.eventually("nobody is there", func() bool { return site.measured(`mailwhy_sessions{by="ssh"}`) == 0 })

	site.settle()
	for _, part := range []struct {
		name string
		run  func(*loadSite)
	}{{"first frame", (*loadSite).firstFrame}, {"colours", (*loadSite).colours}, {"people", (*loadSite).people}, {"killed", (*loadSite).killed}} {
		t.Run(part.name, func(t *testing.T) {
			same := *site
			same.t = t
			part.run(&same)
		})
	}
}

// settle notes what the server has while nobody is there, at most.
func (s *loadSite) settle() {
	s.t.Helper()
	for range 20 {
		s.openFiles, s.goroutines = max(s.openFiles, s.files()), max(s.goroutines, s.measured("go_goroutines"))
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *loadSite) visit(term string, environ map[string]string) *visitor {
	s.t.Helper()
	v, err := visit(s.address, s.key, term, environ)
	must(s.t, err)
	s.t.Cleanup(v.leave)
	return v
}

func (s *loadSite) drawn(v *visitor, text string) time.Time {
	s.t.Helper()
	at, err := v.until(text)
	must(s.t, err)
	return at
}

// tell logs what times were measured.
func tell(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	t.Logf("%s: p50 %v, p99 %v, most %v, of %d", what, took[len(took)/2].Round(100*time.Microsecond), took[len(took)*99/100].Round(100*time.Microsecond), took[len(took)-1].Round(100*time.Microsecond), len(took))
}

// firstFrame times the first frame of sessions of which no other is open.
func (s *loadSite) firstFrame() {
	var frame, rows []time.Duration
	for range 20 {
		v := s.visit("xterm-256color", nil)
		frame = append(frame, s.drawn(v, "mailwhy").Sub(v.begun))
		rows = append(rows, s.drawn(v, "@corp.example").Sub(v.begun))
		v.leave()
	}
	tell(s.t, "session asked for to first frame", frame)
	tell(s.t, "session asked for to first rows", rows)
}

// colours tells how a session is drawn by what the client says of its terminal:
// with the sixteen colours that a person chose for it, or with none. It is
// asked no question.
func (s *loadSite) colours() {
	for _, c := range []struct {
		term    string
		environ map[string]string
		colour  bool
	}{
		{"xterm-256color", nil, true},
		{"xterm", nil, true},
		{"tmux-256color", map[string]string{"COLORTERM": "truecolor"}, true},
		{"xterm-256color", map[string]string{"NO_COLOR": "1"}, false},
		{"dumb", nil, false},
		{"vt100", nil, false},
	} {
		v := s.visit(c.term, c.environ)
		s.drawn(v, "@corp.example")
		drawn := v.drawn()
		v.leave()
		if got := bytes.Contains(drawn, []byte("\x1b[31m")); got != c.colour {
			s.t.Errorf("%s %v: drawn in colour: %v", c.term, c.environ, got)
		}
		for _, question := range []string{"\x1b[6n", "\x1b[c", "\x1b[0c", "\x1b[>c", "\x1b]10;?", "\x1b]11;?", "\x1b[?u"} {
			if bytes.Contains(drawn, []byte(question)) {
				s.t.Errorf("%s: the terminal is asked %q", c.term, question)
			}
		}
		for _, other := range []string{"38;5;", "48;5;", "38;2;", "48;2;"} {
			if bytes.Contains(drawn, []byte(other)) {
				s.t.Errorf("%s %v: drawn in colours nobody chose: %q", c.term, c.environ, drawn)
			}
		}
	}
}

// Bounds that hold on any machine.
const (
	mostIdle    = 200      // bytes a second of a session in which nothing happens, on the wire
	mostMove    = 500      // bytes drawn when the selection moves a row
	mostSession = 1 << 20  // bytes of the server's anonymous memory a session
	mostWaste   = 20 << 20 // and of what was not collected yet, all together
)

// people has many sessions at once: they look, they move, they search.
func (s *loadSite) people() {
	before := s.anonymous()
	visitors := make([]*visitor, *loadSessions)
	var frames []time.Duration
	for i := range visitors {
		visitors[i] = s.visit("xterm-256color", nil)
		frames = append(frames, s.drawn(visitors[i], "mailwhy").Sub(visitors[i].begun))
		s.drawn(visitors[i], "@corp.example")
	}
	defer func() {
		for _, v := range visitors {
			v.leave()
		}
	}()
	tell(s.t, "first frame while others come", frames)
	s.idle(visitors)
	s.t.Logf("memory of the server: %d kB before, %d kB a session", before>>10, (s.anonymous()-before)/len(visitors)>>10)
	s.moves(visitors[0])
	s.typing(visitors)
	more := s.anonymous() - before
	each := more / len(visitors)
	s.t.Logf("memory of the server after typing: %d kB a session", each>>10)
	if more > len(visitors)*mostSession+mostWaste {
		s.t.Errorf("a session takes %d bytes of the server's memory, want at most %d", each, mostSession)
	}
}

func (s *loadSite) idle(visitors []*visitor) {
	const looked = 5 * time.Second
	time.Sleep(2 * time.Second) // what comes after the first rows: totals, verdicts
	wire := make([]int64, len(visitors))
	for i, v := range visitors {
		v.forget()
		wire[i] = v.conn.read.Load()
	}
	time.Sleep(looked)
	most := 0
	for i, v := range visitors {
		most = max(most, int(v.conn.read.Load()-wire[i])*int(time.Second)/int(looked))
	}
	s.t.Logf("idle: at most %d bytes/s of a session on the wire, %d of them drawn", most, len(visitors[0].drawn())*int(time.Second)/int(looked))
	if most > mostIdle {
		s.t.Errorf("an idle session is sent %d bytes/s, want at most %d: %q", most, mostIdle, visitors[0].drawn())
	}
}

// moves counts what is drawn when the selection moves. The clock may be drawn
// along with it.
func (s *loadSite) moves(v *visitor) {
	var drawn []int
	for i := range 20 {
		v.forget()
		must(s.t, v.press(map[bool]string{true: "j", false: "k"}[i < 10]))
		s.eventually("the selection moves", func() bool { return len(v.drawn()) > 0 })
		time.Sleep(150 * time.Millisecond) // a frame more
		drawn = append(drawn, len(v.drawn()))
	}
	slices.Sort(drawn)
	s.t.Logf("a row up or down: %d bytes, with the clock %d", drawn[len(drawn)/2], drawn[len(drawn)-1])
	if drawn[len(drawn)/2] > mostMove {
		s.t.Errorf("a row up or down draws %d bytes, want at most %d", drawn[len(drawn)/2], mostMove)
	}
}

// typing has everybody search five times in five seconds, one after the other
// and then rest.
func (s *loadSite) typing(visitors []*visitor) {
	const burst = 5
	begin, err := s.scrape()
	must(s.t, err)
	begun, until := time.Now(), time.Now().Add(time.Duration(*loadSeconds)*time.Second)
	took := make([][]time.Duration, len(visitors))
	var typing sync.WaitGroup
	for i, v := range visitors {
		typing.Go(func() {
			time.Sleep(time.Duration(i) * burst * time.Second / time.Duration(len(visitors)))
			for n := i; time.Now().Before(until); n += 7 {
				rest := time.After(burst * time.Second)
				for k := range burst {
					user := (n + 11*k) % 64
					one, err := v.search(fmt.Sprintf("user%d@", user), fmt.Sprintf("user%d@d%d.example", user, user))
					if err != nil {
						s.t.Errorf("visitor %d: %v", i, err)
						return
					}
					took[i] = append(took[i], one)
				}
				<-rest
			}
		})
	}
	typing.Wait()
	end, err := s.scrape()
	must(s.t, err)
	all := slices.Concat(took...)
	tell(s.t, fmt.Sprintf("last key to the row in the terminal, %.0f searches/s", float64(len(all))/time.Since(begun).Seconds()), all)
	told := end["mailwhy_search_seconds_count"] - begin["mailwhy_search_seconds_count"]
	for _, bound := range []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5"} {
		name := `mailwhy_search_seconds_bucket{le="` + bound + `"}`
		if within := end[name] - begin[name]; within >= 0.99*told {
			s.t.Logf("pages in the server: %.0f, 99%% within %s s, %.2f ms on average", told, bound, 1000*(end["mailwhy_search_seconds_sum"]-begin["mailwhy_search_seconds_sum"])/told)
			return
		}
	}
	s.t.Errorf("of %.0f pages less than 99%% came within 5 s", told)
}

// killed has a process with many sessions die: nothing of them stays.
func (s *loadSite) killed() {
	s.eventually("nobody is there", func() bool { return s.measured(`mailwhy_sessions{by="ssh"}`) == 0 })
	crowd := exec.Command("crowd", s.address, s.keyFile, fmt.Sprint(*loadSessions))
	crowd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	crowd.Stderr = &said
	out, err := crowd.StdoutPipe()
	must(s.t, err)
	must(s.t, crowd.Start())
	ready := make([]byte, len("ready"))
	if _, err := out.Read(ready); err != nil || string(ready) != "ready" {
		_ = crowd.Process.Kill()
		s.t.Fatalf("the crowd is not there: %q %v %s", ready, crowd.Wait(), said.String())
	}
	s.t.Logf("with %d sessions: %.0f goroutines, %d files; before %.0f, %d", *loadSessions, s.measured("go_goroutines"), s.files(), s.goroutines, s.openFiles)
	must(s.t, crowd.Process.Kill())
	_ = crowd.Wait() // it was killed
	took := s.eventually("what the crowd held is given back", func() bool {
		return s.files() <= s.openFiles && s.measured("go_goroutines") <= s.goroutines && s.measured(`mailwhy_sessions{by="ssh"}`) == 0
	})
	s.t.Logf("after kill -9 all is given back in %v", took.Round(time.Millisecond))
}
