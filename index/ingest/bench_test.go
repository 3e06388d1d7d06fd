package ingest

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailwhy/index"
)

var benchMessages = flag.Int("ingest.messages", 20_000, "messages in the benchmark's logs")

// writeLogs writes n messages of ten days into one file a day: senders by
// Zipf, three in ten of them made for one message as mailing lists do; two
// lines in three are of deliveries, as in a busy log.
func writeLogs(tb testing.TB, dir string, n int) (paths []string, bytes int64) {
	tb.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(r, 1.1, 8, 300_000)
	const days = 10
	for day := range days {
		path := filepath.Join(dir, fmt.Sprintf("maillog.%d", days-day))
		f, err := os.Create(path)
		check(tb, err)
		w := bufio.NewWriterSize(f, 1<<20)
		start := time.Date(2026, 11, 10+day, 0, 0, 0, 0, time.UTC)
		for i := range n / days {
			at := start.Add(time.Duration(i) * 24 * time.Hour * days / time.Duration(n)).Format("2006-01-02T15:04:05.000000-07:00")
			sender := fmt.Sprintf("user%d@d%d.example", zipf.Uint64(), r.IntN(2000))
			if r.IntN(10) < 3 {
				sender = fmt.Sprintf("bounce-%012x@lists%d.example.net", r.Uint64()>>16, r.IntN(50))
			}
			queue, ip := fmt.Sprintf("4Q%013X", r.Uint64()>>12), fmt.Sprintf("198.51.100.%d", r.IntN(256))
			fmt.Fprintf(w, "%s mx1 postfix/qmgr[70]: %s: from=<%s>, size=%d, nrcpt=1 (queue active)\n", at, queue, sender, r.IntN(100_000))
			fmt.Fprintf(w, "%s mx1 postfix/smtp[78]: %s: to=<u%d@example.org>, relay=mx.example.org[%s]:25, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Ok)\n", at, queue, r.IntN(5000), ip)
			fmt.Fprintf(w, "%s mx1 postfix/smtpd[77]: NOQUEUE: reject: RCPT from mail.d%d.example[%s]: 550 5.1.1 <u%d@corp.example>: Recipient address rejected: User unknown; from=<%s> to=<u%d@corp.example> proto=ESMTP helo=<mail.d%d.example>\n",
				at, r.IntN(2000), ip, r.IntN(5000), sender, r.IntN(5000), r.IntN(2000))
		}
		check(tb, w.Flush())
		info, err := f.Stat()
		check(tb, err)
		bytes += info.Size()
		check(tb, f.Close())
		mtime := start.Add(24 * time.Hour)
		check(tb, os.Chtimes(path, mtime, mtime))
		paths = append(paths, path)
	}
	return paths, bytes
}

// BenchmarkBackfill reads logs into a new index until everything is on disk:
// go test ./index/ingest -run xxx -bench Backfill -benchtime 1x -ingest.messages=500000
func BenchmarkBackfill(b *testing.B) {
	logs := b.TempDir()
	paths, size := writeLogs(b, logs, *benchMessages)
	for b.Loop() {
		data := b.TempDir()
		x, err := index.Open(filepath.Join(data, "index"), index.Options{})
		check(b, err)
		start, cpu := time.Now(), processorTime(b)
		p, err := New(Options{Sources: paths, Data: data, Index: x})
		check(b, err)
		check(b, p.Once(b.Context()))
		took := time.Since(start).Seconds()
		b.ReportMetric(float64(*benchMessages)/took, "messages/s")
		b.ReportMetric(float64((processorTime(b)-cpu).Microseconds())/float64(*benchMessages), "cpu-us/message")
		b.ReportMetric(float64(size)/took/1e6, "MB/s")
		b.ReportMetric(float64(diskUsage(b, data))/float64(*benchMessages), "B/message")
		check(b, x.Close())
	}
}

// BenchmarkAppendToSearchable times how long a line takes from the log to a
// search that finds it, while 1,000 a second arrive and somebody searches all
// the time:
//
//	go test ./index/ingest -run xxx -bench AppendToSearchable -benchtime 1x
func BenchmarkAppendToSearchable(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		path := filepath.Join(dir, "maillog")
		check(b, os.WriteFile(path, []byte(line(0)), 0o644))
		x, err := index.Open(filepath.Join(dir, "index"), index.Options{})
		check(b, err)
		p, err := New(Options{Sources: []string{path}, Data: dir, Index: x})
		check(b, err)
		ctx, stop := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { check(b, p.Run(ctx)) })
		running.Go(func() {
			for ctx.Err() == nil {
				_, _ = x.Page(ctx, index.Query{Terms: []index.Term{{Field: "from", Value: "example"}}}, "", 50) // ends with ctx
			}
		})
		took := appendAndSearch(b, path, x)
		stop()
		running.Wait()
		check(b, x.Close())
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	}
}

// appendAndSearch appends ten lines every 10 ms for ten seconds; of each tenth
// time it waits for the last line to be found.
func appendAndSearch(b *testing.B, path string, x *index.Index) (took []time.Duration) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	check(b, err)
	defer f.Close()
	var waiting sync.WaitGroup
	var mu sync.Mutex
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for n := 3; n < 3*10_000; {
		<-ticker.C
		var text strings.Builder
		for range 10 {
			text.WriteString(line(n)) // a rejection of u<n>@example.com
			n += 3
		}
		_, err := f.WriteString(text.String())
		check(b, err)
		if start, last := time.Now(), n-3; n/30%10 == 0 {
			waiting.Go(func() {
				found := awaited(b, x, fmt.Sprintf("u%d@example.com", last))
				mu.Lock()
				defer mu.Unlock()
				took = append(took, found.Sub(start))
			})
		}
	}
	waiting.Wait()
	return took
}

// awaited asks again at every change until a recipient is found, and tells when
// that was.
func awaited(b *testing.B, x *index.Index, recipient string) time.Time {
	for {
		changed := x.Changed()
		p, err := x.Page(b.Context(), index.Query{Terms: []index.Term{{Field: "to", Value: recipient}}}, "", 1)
		if err != nil {
			b.Error(err)
		}
		if err != nil || len(p.Rows) == 1 {
			return time.Now()
		}
		select {
		case <-changed:
		case <-b.Context().Done():
			return time.Now()
		}
	}
}

// processorTime is what the process has used: it varies less than the time
// that passed where other work runs.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	check(tb, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func diskUsage(tb testing.TB, dir string) (n int64) {
	tb.Helper()
	check(tb, filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	}))
	return n
}
