package logparse

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// traffic writes a Postfix log of about size bytes, the same for the same
// size: one day of a busy relay, 50 messages at a time in its hands. Of 100
// messages 15 are refused before they have a queue id, 5 are deferred and 2
// bounce; 30 of 100 senders are used once (VERP), the others follow Zipf's law.
func traffic(w io.Writer, size int) error {
	g := &generator{
		rnd: rand.New(rand.NewPCG(2, 2026)), w: bufio.NewWriterSize(w, 1<<20),
		now: time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC),
	}
	g.zipf = rand.NewZipf(g.rnd, 1.2, 8, 300_000)
	open := make([][]string, 50)
	for g.written < size {
		i := g.rnd.IntN(len(open))
		if len(open[i]) == 0 {
			open[i] = g.message()
		}
		g.line(open[i][0])
		open[i] = open[i][1:]
	}
	return g.w.Flush()
}

type generator struct {
	rnd     *rand.Rand
	zipf    *rand.Zipf
	w       *bufio.Writer
	now     time.Time
	stamp   string
	n       int
	written int
}

func (g *generator) line(body string) {
	if g.rnd.IntN(20) == 0 || g.stamp == "" {
		g.now = g.now.Add(time.Second)
		g.stamp = g.now.Format(time.Stamp)
	}
	n, _ := fmt.Fprintf(g.w, "%s mx1 postfix/%s\n", g.stamp, body)
	g.written += n
}

func (g *generator) sender() string {
	if g.rnd.IntN(100) < 30 {
		return fmt.Sprintf("bounce-%08x-%d@lists%d.example.net", g.rnd.Uint32(), g.n, g.rnd.IntN(40))
	}
	z := g.zipf.Uint64()
	return fmt.Sprintf("user%d@sender%d.example", z, z%2000)
}

// message returns the lines of one message in their order.
func (g *generator) message() []string {
	g.n++
	pid, cleanup, smtp := 20000+g.rnd.IntN(60), 21000+g.rnd.IntN(20), 22000+g.rnd.IntN(40)
	ip := fmt.Sprintf("203.0.113.%d", g.rnd.IntN(256))
	client := fmt.Sprintf("mail%d.sender.example[%s]", g.rnd.IntN(5000), ip)
	from, to := g.sender(), fmt.Sprintf("person%d@corp.example", g.rnd.IntN(20_000))
	lines := []string{fmt.Sprintf("smtpd[%d]: connect from %s", pid, client)}
	trailer := fmt.Sprintf("; from=<%s> to=<%s> proto=ESMTP helo=<mail.sender.example>", from, to)
	if kind := g.rnd.IntN(100); kind < 15 {
		refusal := []string{
			fmt.Sprintf("550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table", to),
			fmt.Sprintf("450 4.2.0 <%s>: Recipient address rejected: Greylisted for 300 seconds", to),
			fmt.Sprintf("554 5.7.1 Service unavailable; Client host [%s] blocked using zen.rbl.example; https://rbl.example/query/ip/%s", ip, ip),
			fmt.Sprintf("550 5.7.1 <%s>: Sender address rejected: Policy level block list in force", from),
		}[kind%4]
		return append(lines, fmt.Sprintf("smtpd[%d]: NOQUEUE: reject: RCPT from %s: %s%s", pid, client, refusal, trailer),
			fmt.Sprintf("smtpd[%d]: disconnect from %s ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4", pid, client))
	}
	id := fmt.Sprintf("%05X%07X", g.n%0xFFFFF, g.rnd.IntN(0xFFFFFFF))
	size := 1000 + g.rnd.IntN(200_000)
	lines = append(lines,
		fmt.Sprintf("smtpd[%d]: %s: client=%s", pid, id, client),
		fmt.Sprintf("cleanup[%d]: %s: message-id=<%d.%x@sender.example>", cleanup, id, g.n, g.rnd.Uint64()),
		fmt.Sprintf("qmgr[901]: %s: from=<%s>, size=%d, nrcpt=1 (queue active)", id, from, size),
		fmt.Sprintf("smtpd[%d]: disconnect from %s ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5", pid, client))
	status := func(dsn, word, text string) string {
		return fmt.Sprintf("smtp[%d]: %s: to=<%s>, relay=store%d.corp.example[198.51.100.%d]:25, delay=0.%d, delays=0.1/0/0.02/0.1, dsn=%s, status=%s (%s)",
			smtp, id, to, g.rnd.IntN(9), g.rnd.IntN(256), g.rnd.IntN(99), dsn, word, text)
	}
	switch kind := g.rnd.IntN(100); {
	case kind < 5:
		return append(lines, status("4.2.2", "deferred", "host store.corp.example[198.51.100.7] said: 452 4.2.2 Mailbox full (in reply to RCPT TO command)"))
	case kind < 7:
		lines = append(lines, status("5.1.1", "bounced", fmt.Sprintf("host store.corp.example[198.51.100.7] said: 550 5.1.1 <%s>: Recipient address rejected: User unknown (in reply to RCPT TO command)", to)))
	default:
		lines = append(lines, status("2.0.0", "sent", "250 2.0.0 Ok: queued as 4C1F2D9"))
	}
	return append(lines, fmt.Sprintf("qmgr[901]: %s: removed", id))
}

var (
	benchBytes = flag.Int("bench.bytes", 200<<20, "size of the log that benchmarks read")
	benchFile  = flag.String("bench.file", "", "where that log is kept for other programs; a temporary folder if not set")
	benchLines = flag.String("bench.lines", "", "make that log of this file's lines, again and again, instead of the generator's")
)

// benchLog writes the log that benchmarks read.
func benchLog(b *testing.B) string {
	path := *benchFile
	if path == "" {
		path = filepath.Join(b.TempDir(), "mail.log")
	}
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	write := traffic
	if *benchLines != "" {
		lines, err := os.ReadFile(*benchLines)
		if err != nil {
			b.Fatal(err)
		}
		write = func(w io.Writer, size int) error {
			for written := 0; written < size; written += len(lines) {
				if _, err := w.Write(lines); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if err := errors.Join(write(file, *benchBytes), file.Close()); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkPeers reads the same log with other programs, those that are
// installed, and reports how many times as long as parsing each takes.
//
//	apt-get install pflogsumm lnav ripgrep exim4-base   # exigrep is of exim4-base
//	go test ./logparse -run xxx -bench Peers -benchtime 1x -bench.bytes 2000000000
func BenchmarkPeers(b *testing.B) {
	path := benchLog(b)
	peers := map[string][]string{
		"grep": {"-c", "-F", "reject", path}, "rg": {"-c", "-F", "reject", path}, "pflogsumm": {path},
		"lnav": {"-n", "-c", ";SELECT count(*) FROM postfix_log", path}, "exigrep": {"reject", path},
	}
	for b.Loop() {
		start := time.Now()
		parseFile(b, path)
		parsed := time.Since(start)
		b.ReportMetric(parsed.Seconds(), "parse-s")
		for name, args := range peers {
			program, err := exec.LookPath(name)
			if err != nil {
				b.Logf("%s is not installed", name)
				continue
			}
			cmd := exec.Command(program, args...)
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			start := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Logf("%s: %v: %.200s", name, err, out)
				continue
			}
			b.ReportMetric(float64(time.Since(start))/float64(parsed), "x-"+name)
		}
	}
}

// BenchmarkPostfixAgainstGrep measures parsing with joins and evidence against
// `LC_ALL=C grep -c -F reject` on the same 200 MiB file, round by round, and
// reports the ratio of the two rates, round by round the median.
//
//	go test ./logparse -run xxx -bench AgainstGrep -benchtime 5x
func BenchmarkPostfixAgainstGrep(b *testing.B) {
	grep, err := exec.LookPath("grep")
	if err != nil {
		b.Skip("grep is not installed")
	}
	path := benchLog(b)
	// What the process that reads logs runs with (GOGC=400).
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var ratios, cpus, rates, greps []float64
	messages := 0
	for b.Loop() {
		start, cpu := time.Now(), cpuTime(b)
		messages = parseFile(b, path)
		parsed, cpu := time.Since(start), cpuTime(b)-cpu
		cmd := exec.Command(grep, "-c", "-F", "reject", path)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		start = time.Now()
		if _, err := cmd.Output(); err != nil {
			b.Fatal(err)
		}
		grepped := time.Since(start)
		ratios = append(ratios, float64(grepped)/float64(parsed))
		rates = append(rates, float64(*benchBytes)/parsed.Seconds()/1e6)
		cpus = append(cpus, float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())/float64(cpu))
		greps = append(greps, float64(*benchBytes)/grepped.Seconds()/1e6)
	}
	median := func(v []float64) float64 { slices.Sort(v); return v[len(v)/2] }
	b.ReportMetric(median(ratios), "x-grep")
	b.ReportMetric(median(cpus), "x-grep-cpu")
	b.ReportMetric(median(rates), "MB/s")
	b.ReportMetric(median(greps), "grep-MB/s")
	b.ReportMetric(float64(messages), "messages")
}

// cpuTime is the processor time this process has used.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// parseFile reads a log as `mailwhy parse` does.
func parseFile(b *testing.B, path string) (messages int) {
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	p := NewParser(Options{})
	s := p.Open(Source{ID: "0123456789abcdef", Name: path, ModTime: written})
	if err := s.Read(b.Context(), f, func() { p.Drain(func(mail.Message) { messages++ }) }); err != nil {
		b.Fatal(err)
	}
	return messages
}

// BenchmarkPostfix parses 4 MiB from memory, for profiles.
func BenchmarkPostfix(b *testing.B) {
	var log bytes.Buffer
	if err := traffic(&log, 4<<20); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(log.Len()))
	for b.Loop() {
		p := NewParser(Options{})
		s := p.Open(Source{ID: "0123456789abcdef", Name: "mail.log", ModTime: written})
		buf := make([]byte, 128<<10) // as read from a file: in the processor's cache
		for data, offset := log.Bytes(), 0; len(data) > offset; {
			n := copy(buf, data[offset:])
			offset += s.Feed(int64(offset), buf[:n], n == len(data)-offset)
			p.Drain(func(mail.Message) {})
		}
	}
}
