package index

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkSummary times exact totals, and facets, histogram and causes, over
// all of the index:
//
//	go test ./index -run xxx -bench Summary -benchtime 20x -index.docs=10000000 -index.dir=/var/tmp/ten-million
func BenchmarkSummary(b *testing.B) {
	x := benchIndex(b, *benchDocs)
	since := noon.AddDate(0, 0, -2-*benchDocs/benchDay)
	for _, wanted := range []struct {
		name string
		w    Wanted
	}{{"total", Wanted{}}, {"bars", Wanted{Bars: 60}}, {"facets", Wanted{Top: 10}}, {"causes", Wanted{Causes: true}}} {
		for name, terms := range map[string][]Term{
			"all": nil, "rejected": {{Field: "is", Value: "rejected"}}, "broad": {{Field: "from", Value: "example"}}, "common": {{Field: "from", Value: "user1@"}},
		} {
			b.Run(wanted.name+"/"+name, func(b *testing.B) {
				var took, first []time.Duration
				for b.Loop() {
					start := time.Now()
					states := 0
					for _, err := range x.Summarise(b.Context(), Query{Terms: terms, Since: since, asked: noon}, wanted.w) {
						if err != nil {
							b.Fatal(err)
						}
						if states++; states == 1 {
							first = append(first, time.Since(start))
						}
					}
					took = append(took, time.Since(start))
				}
				reportTimes(b, took)
				b.ReportMetric(float64(first[len(first)/2].Microseconds())/1000, "first-ms")
			})
		}
	}
	b.Logf("RssAnon %d MB", rssAnon(b)>>20)
}

// BenchmarkCancel times how long a search takes to return after nobody waits
// for it any more: a count of everything, with facets.
//
//	go test ./index -run xxx -bench Cancel -benchtime 200x -index.docs=1000000 -index.dir=/var/tmp/million
func BenchmarkCancel(b *testing.B) {
	x := benchIndex(b, *benchDocs)
	var took []time.Duration
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan time.Time)
		go func() {
			_, err := last(x.Summarise(ctx, Query{Terms: []Term{{Field: "from", Value: "example"}}}, Wanted{Top: 10}))
			if err != nil && !errors.Is(err, context.Canceled) {
				b.Error(err)
			}
			done <- time.Now()
		}()
		time.Sleep(5 * time.Millisecond) // somewhere in the middle of it
		asked := time.Now()
		cancel()
		took = append(took, (<-done).Sub(asked))
	}
	reportTimes(b, took)
}

// BenchmarkMemory tells the anonymous memory of a process that serves an index,
// before anybody asks and the most while eight sessions search and count:
//
//	go test ./index -run xxx -bench Memory -benchtime 1x -index.docs=10000000 -index.dir=/var/tmp/ten-million
func BenchmarkMemory(b *testing.B) {
	x := benchIndex(b, *benchDocs)
	kinds := fragments(b, x)
	for b.Loop() {
		debug.FreeOSMemory() // what making the index took
		b.ReportMetric(float64(rssAnon(b))/(1<<20), "idle-MB")
		ctx, stop := context.WithTimeout(b.Context(), 10*time.Second)
		var sessions sync.WaitGroup
		for session := range 8 {
			sessions.Go(func() { searchAlong(ctx, b, x, kinds, session) })
		}
		most := 0
		for ctx.Err() == nil {
			most = max(most, rssAnon(b))
			time.Sleep(20 * time.Millisecond)
		}
		stop()
		sessions.Wait()
		b.ReportMetric(float64(most)/(1<<20), "load-MB")
	}
}

// searchAlong searches fragments of all kinds, and counts facets now and then,
// until the context ends.
func searchAlong(ctx context.Context, b *testing.B, x *Index, kinds map[string][]string, session int) {
	names := slices.Sorted(maps.Keys(kinds))
	for i := session; ctx.Err() == nil; i++ {
		list := kinds[names[i%len(names)]]
		q := fromFragment(list[i/len(names)%len(list)])
		_, err := x.Page(ctx, q, "", 50)
		if err == nil && i%20 == 0 {
			_, err = last(x.Summarise(ctx, q, Wanted{Top: 10}))
		}
		if err != nil && ctx.Err() == nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkPutAndSeal puts a shard in batches of 2,000 and seals it; B/message
// is all that is on disk then: rows, dictionaries and lines.
func BenchmarkPutAndSeal(b *testing.B) {
	n := min(*benchDocs, benchDay)
	messages := benchMessages(0, n)
	lines := 0
	for i := range messages {
		lines += len(messages[i].Evidence[0].Text)
	}
	for b.Loop() {
		dir := b.TempDir()
		x, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		for at := 0; at < n; at += 2000 {
			if err := x.Put(b.Context(), messages[at:min(at+2000, n)]); err != nil {
				b.Fatal(err)
			}
		}
		put := time.Since(start)
		if err := x.Seal(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/put.Seconds(), "put/s")
		b.ReportMetric(float64(n)/(time.Since(start)-put).Seconds(), "sealed/s")
		b.ReportMetric(float64(sizeOf(b, dir, ""))/float64(n), "B/message")
		b.ReportMetric(float64(sizeOf(b, dir, rawName))/float64(lines), "lines/log")
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// sizeOf sums the files of a folder that have a name; "" = any.
func sizeOf(b *testing.B, dir, name string) int64 {
	b.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || name != "" && e.Name() != name {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return sum
}

// rssAnon is the anonymous memory of the process in bytes.
func rssAnon(b *testing.B) int {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return kB << 10
}
