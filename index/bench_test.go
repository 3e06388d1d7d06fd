package index

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

var benchDocs = flag.Int("index.docs", 20_000, "messages in the benchmark's index")

// fill puts n messages of ten days: senders by Zipf, three in ten of them made
// for one message as mailing lists do.
func fill(b *testing.B, x *Index, n int) {
	b.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(r, 1.1, 8, 300_000)
	var batch []mail.Message
	for i := range n {
		at := noon.Add(-time.Duration(n-i) * 10 * 24 * time.Hour / time.Duration(n))
		sender := fmt.Sprintf("user%d@d%d.example", zipf.Uint64(), r.IntN(2000))
		if r.IntN(10) < 3 {
			sender = fmt.Sprintf("bounce-%012x@lists%d.example.net", r.Uint64()>>16, r.IntN(50))
		}
		batch = append(batch, mail.Message{ID: fmt.Sprintf("%013d-%016x-%012d-000", at.UnixMilli(), 7, i), Time: at, Last: at, EnvelopeFrom: mail.Path(sender),
			Recipient: mail.Path(fmt.Sprintf("u%d@corp.example", r.IntN(5000))), Outcome: mail.Rejected, Client: mail.Client{IP: fmt.Sprintf("198.51.100.%d", r.IntN(256))},
			Reply: mail.Reply{Code: 550, Text: "Administrative prohibition - envelope blocked"}})
		if len(batch) == 5000 || i == n-1 {
			if err := x.Put(context.Background(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}

// BenchmarkFragmentPage times the newest 50 rows of sender fragments, each as
// p50 and p99: go test ./index -run xxx -bench FragmentPage -index.docs=1000000
func BenchmarkFragmentPage(b *testing.B) {
	x, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	start := time.Now()
	fill(b, x, *benchDocs)
	b.Logf("%d messages indexed at %.0f/s", *benchDocs, float64(*benchDocs)/time.Since(start).Seconds())
	for name, line := range map[string]string{"common": "from:user1@ since:all", "broad": "from:example since:all", "rare": "from:user29999 since:all", "absent": "from:zzzzq since:all", "token": "from:bounce-0a1 since:all"} {
		b.Run(name, func(b *testing.B) {
			q, err := ParseQuery(line, noon, time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := x.Page(b.Context(), q, "", 50); err != nil { // reads the values of every shard once
				b.Fatal(err)
			}
			var took []time.Duration
			for b.Loop() {
				t := time.Now()
				if _, err := x.Page(b.Context(), q, "", 50); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(t))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
