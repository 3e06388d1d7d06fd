package index

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index/sealed"
)

var (
	benchDocs = flag.Int("index.docs", 20_000, "messages in the benchmark's index, 100,000 a day")
	benchDir  = flag.String("index.dir", "", "folder in which the benchmark's index is kept for the next run; none = made anew")
)

const benchDay = 100_000 // messages of a day, and in a shard

// benchMessages are the messages of a day before noon's, in the order of ids:
// senders by Zipf, three in ten made for one message as mailing lists do.
func benchMessages(day, n int) []mail.Message {
	r := rand.New(rand.NewPCG(1, uint64(day)))
	zipf := rand.NewZipf(r, 1.1, 8, 300_000)
	start := noon.Truncate(24*time.Hour).AddDate(0, 0, -1-day)
	list := make([]mail.Message, n)
	for i := range list {
		at := start.Add(time.Duration(i) * 24 * time.Hour / time.Duration(n)).Truncate(time.Millisecond)
		list[i] = benchMessage(r, zipf, at, i)
	}
	return list
}

func benchMessage(r *rand.Rand, zipf *rand.Zipf, at time.Time, i int) mail.Message {
	rank := zipf.Uint64()
	sender := fmt.Sprintf("user%d@d%d.example", rank, rank%2000)
	if r.IntN(10) < 3 {
		sender = fmt.Sprintf("bounce-%012x@lists%d.example.net", r.Uint64()>>16, r.IntN(50))
	}
	queueID, ip := fmt.Sprintf("%011X", r.Uint64()>>20), fmt.Sprintf("198.51.100.%d", r.IntN(256))
	recipient := fmt.Sprintf("u%d@corp.example", r.IntN(5000))
	reasons := []string{"Administrative prohibition - envelope blocked", "Recipient address rejected: User unknown", "Greylisted, try again later", "Service unavailable; client host blocked"}
	reason := reasons[r.IntN(len(reasons))]
	text := fmt.Sprintf("%s gw1 postfix/smtpd[%d]: NOQUEUE: reject: RCPT from mx%d.example.net[%s]: 550 5.7.1 <%s>: %s; from=<%s> to=<%s> proto=ESMTP helo=<mx%d.example.net>",
		at.Format(time.Stamp), r.IntN(30000), r.IntN(500), ip, recipient, reason, sender, recipient, r.IntN(500))
	return mail.Message{
		ID: fmt.Sprintf("%013d-%016x-%012d-000", at.UnixMilli(), 7, i), Time: at, Last: at, Source: "0000000000000007", Format: "postfix", Gateway: "gw1",
		EnvelopeFrom: mail.Path(sender), Recipient: mail.Path(recipient), Outcome: []mail.Outcome{mail.Rejected, mail.Rejected, mail.Deferred}[r.IntN(3)], Phase: mail.PhaseRcpt,
		Client: mail.Client{IP: ip, Name: fmt.Sprintf("mx%d.example.net", r.IntN(500))}, QueueID: queueID, Attempts: 1,
		Reply: mail.Reply{Code: 550, Enhanced: "5.7.1", Text: "<" + recipient + ">: " + reason}, Reported: mail.Reported{Type: reason},
		Evidence: []mail.Evidence{{File: "/var/log/maillog", Offset: int64(i) * 250, Text: text}},
	}
}

// benchIndex opens an index of n messages, made as sealing makes it, without
// the live layers before it.
func benchIndex(b *testing.B, n int) *Index {
	b.Helper()
	dir := *benchDir
	if dir == "" {
		dir = b.TempDir()
	}
	if err := sideBySide(daysOf(n), func(day, n int) error { return benchShard(dir, day, n) }); err != nil {
		b.Fatal(err)
	}
	x, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close() })
	return x
}

// daysOf deals messages to days.
func daysOf(n int) []int {
	var days []int
	for ; n > 0; n -= benchDay {
		days = append(days, min(n, benchDay))
	}
	return days
}

// dayName is the name of a benchmark's day, counted backwards.
func dayName(day int) string { return noon.AddDate(0, 0, -1-day).Format(time.DateOnly) }

// sideBySide does something with every day, two at once.
func sideBySide(days []int, do func(day, n int) error) error {
	workers := make(chan struct{}, 2)
	errs := make([]error, len(days))
	var making sync.WaitGroup
	for day, n := range days {
		workers <- struct{}{}
		making.Go(func() {
			errs[day] = do(day, n)
			<-workers
		})
	}
	making.Wait()
	return errors.Join(errs...)
}

func benchShard(dir string, day, n int) error {
	shardDir := filepath.Join(dir, dayName(day)+".000")
	path := filepath.Join(shardDir, layerName(1, sealedSuffix))
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(shardDir, 0o700); err != nil {
		return err
	}
	builder, err := sealed.NewBuilder(path, sealedFields)
	if err != nil {
		return err
	}
	messages := benchMessages(day, n)
	for i := range messages {
		stored := row(messages[i])
		data, err := json.Marshal(stored)
		if err != nil {
			return err
		}
		d, err := sealedDocument(&stored, data)
		if err != nil {
			return err
		}
		if err := builder.Add(d); err != nil {
			return err
		}
	}
	return builder.Finish()
}

// fragments are query lines of each kind; x has their answers.
func fragments(b *testing.B, x *Index) map[string][]string {
	b.Helper()
	kinds := plainFragments()
	p, err := x.Page(b.Context(), Query{Terms: []Term{{Field: "from", Value: "bounce-"}}}, "", 500)
	if err != nil {
		b.Fatal(err)
	}
	for _, m := range p.Rows {
		kinds["token"] = append(kinds["token"], string(m.EnvelopeFrom)[len("bounce-"):len("bounce-")+7])
	}
	kinds["token"] = append(kinds["token"], deepTokens(b, x)...)
	for i := range 200 {
		kinds["rare"] = append(kinds["rare"], fmt.Sprintf("user%d@", 299_000+i))
	}
	return kinds
}

// plainFragments are those of which it is known without looking how many match.
func plainFragments() map[string][]string {
	kinds := map[string][]string{
		"broad": {"example", "user", ".net", "lists", "bounce-", "@d"},
		"two":   {"us", "ex", "@d", "-0", "1@", "le"},
		"one":   {"a", "e", "@", "1", "z", "q"},
	}
	for i := range 64 {
		kinds["common"] = append(kinds["common"], fmt.Sprintf("user%d@", i))
		kinds["absent"] = append(kinds["absent"], fmt.Sprintf("example.user%d", i), fmt.Sprintf("zzq%dx", i))
	}
	return kinds
}

// deepTokens are list tokens of messages from all over the history.
func deepTokens(b *testing.B, x *Index) []string {
	b.Helper()
	var tokens []string
	for _, s := range x.newestFirst(Query{}) {
		q := Query{Terms: []Term{{Field: "from", Value: "bounce-"}}}
		rows, err := s.page(b.Context(), q, "", "", 3)
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range rows {
			tokens = append(tokens, string(m.EnvelopeFrom)[len("bounce-"):len("bounce-")+7])
		}
	}
	return tokens
}

// BenchmarkFragmentPage times the newest 50 rows of sender fragments, since:all,
// by kind as p50 and p99:
//
//	go test ./index -run xxx -bench FragmentPage -benchtime 2000x -index.docs=10000000 -index.dir=/var/tmp/ten-million
func BenchmarkFragmentPage(b *testing.B) { benchPages(b, benchIndex(b, *benchDocs)) }

// BenchmarkFragmentPageWhileWriting is the same while 2,000 messages a second
// arrive, put every 30 ms. The folder is not kept.
func BenchmarkFragmentPageWhileWriting(b *testing.B) {
	x := benchIndex(b, *benchDocs)
	ctx, stop := context.WithCancel(b.Context())
	var writing sync.WaitGroup
	writing.Go(func() { arrive(ctx, b, x, 2000) })
	benchPages(b, x)
	stop()
	writing.Wait()
	today, err := filepath.Glob(filepath.Join(x.dir, noon.Format(time.DateOnly)+".*"))
	if err != nil {
		b.Fatal(err)
	}
	x.Close()
	for _, dir := range today {
		os.RemoveAll(dir)
	}
}

// arrive puts messages of noon's day at a rate until ctx ends.
func arrive(ctx context.Context, b *testing.B, x *Index, rate int) {
	r := rand.New(rand.NewPCG(9, 9))
	zipf := rand.NewZipf(r, 1.1, 8, 300_000)
	ticker := time.NewTicker(30 * time.Millisecond)
	defer ticker.Stop()
	start, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			b.Logf("%d messages arrived at %.0f/s", sent, float64(sent)/time.Since(start).Seconds())
			return
		case <-ticker.C:
		}
		var batch []mail.Message
		for due := int(time.Since(start).Seconds() * float64(rate)); sent < due; sent++ {
			at := noon.Add(time.Duration(sent) * time.Second / time.Duration(rate)).Truncate(time.Millisecond)
			batch = append(batch, benchMessage(r, zipf, at, sent))
		}
		if err := x.Put(context.WithoutCancel(ctx), batch); err != nil {
			b.Error(err)
			return
		}
	}
}

func benchPages(b *testing.B, x *Index) {
	kinds := fragments(b, x)
	for _, kind := range []string{"common", "broad", "rare", "absent", "token", "two", "one"} {
		b.Run(kind, func(b *testing.B) {
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				q := Query{Terms: []Term{{Field: "from", Value: kinds[kind][i%len(kinds[kind])]}}}
				start := time.Now()
				if _, err := x.Page(b.Context(), q, "", 50); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			reportTimes(b, took)
		})
	}
}

func reportTimes(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
