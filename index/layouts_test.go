package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/search/query"

	"mailwhy/engine/mail"
	"mailwhy/index/sealed"
)

// A layout is a way to keep messages that no longer change. What is measured
// of each: the newest 50 of a sender fragment, the most frequent values of
// fields, bytes, time to open, memory.
type layout interface {
	newest(ctx context.Context, fragment string, limit int) (ids []string, err error)
	// top counts the values of the counted fields over all messages;
	// errors.ErrUnsupported where there is nothing to count with.
	top(ctx context.Context, n int) (map[string][]Value, error)
	close() error
}

// layoutWay makes a layout of shards in a folder, one a day, and opens it.
type layoutWay struct {
	make func(ctx context.Context, dir string, days []int) error // messages by day
	open func(dir string) (layout, error)
}

// layouts are all there are; the build tag sqlite adds some.
var layouts = map[string]layoutWay{
	"sealed": {makeSealedShards, openSealedShards},
	"bleve":  {makeMergedShards, openMergedShards},
}

// sealedShards are the index as it is.
type sealedShards struct{ x *Index }

func makeSealedShards(_ context.Context, dir string, days []int) error {
	return sideBySide(days, func(day, n int) error { return benchShard(dir, day, n) })
}

func openSealedShards(dir string) (layout, error) {
	x, err := Open(dir, Options{})
	return sealedShards{x}, err
}

func (l sealedShards) newest(ctx context.Context, fragment string, limit int) ([]string, error) {
	p, err := l.x.Page(ctx, fromFragment(fragment), "", limit)
	return idsOfRows(p.Rows), err
}

func (l sealedShards) top(ctx context.Context, n int) (map[string][]Value, error) {
	s, err := last(l.x.Summarise(ctx, Query{}, Wanted{Top: n}))
	found := map[string][]Value{}
	for _, field := range countedFields {
		found[field] = s.Facets[Facet(field)]
	}
	return found, err
}

func (l sealedShards) close() error { return l.x.Close() }

func fromFragment(fragment string) Query {
	return Query{Terms: []Term{{Field: "from", Value: fragment}}}
}

func idsOfRows(rows []mail.Message) []string {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids
}

// merged is a shard as an index of bleve that was merged to one segment, with
// a mapped dictionary of the senders' values beside it: a fragment becomes the
// terms that hold it, or, when these are many, hours are walked newest first
// and documents held against it by their doc values.
type merged struct {
	*live
	senders *sealed.Segment
}

const (
	mergedName  = "merged"
	sendersName = "senders"
)

func makeMergedShards(ctx context.Context, dir string, days []int) error {
	return sideBySide(days, func(day, n int) error {
		return makeMerged(ctx, filepath.Join(dir, dayName(day)), benchMessages(day, n))
	})
}

func makeMerged(ctx context.Context, dir string, messages []mail.Message) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b, err := bleve.NewUsing(filepath.Join(dir, mergedName), newMapping(), scorch.Name, scorch.Name, map[string]any{"bolt_timeout": boltTimeout})
	if err != nil {
		return err
	}
	senders := map[string]bool{}
	for part := range slices.Chunk(messages, 5000) {
		batch := b.NewBatch()
		for i := range part {
			fields := fieldsOf(&part[i])
			fields[fieldClock] = []string{part[i].Time.Format("15")}
			for _, sender := range fields[fieldSender] {
				senders[sender] = true
			}
			d, err := newDocument(&part[i], fields)
			if err == nil {
				err = batch.IndexAdvanced(d)
			}
			if err != nil {
				return err
			}
		}
		if err := b.Batch(batch); err != nil {
			return err
		}
	}
	inner, err := b.Advanced()
	if err != nil {
		return err
	}
	if err := inner.(*scorch.Scorch).ForceMerge(ctx, nil); err != nil {
		return err
	}
	if err := errors.Join(b.Close(), makeSenders(filepath.Join(dir, sendersName), slices.Collect(maps.Keys(senders)))); err != nil {
		return err
	}
	return removeMerged(dir)
}

// removeMerged makes bleve remove the segments that were merged: it does so
// behind writes to an index that was opened again.
func removeMerged(dir string) error {
	m, err := openMerged(dir)
	if err != nil {
		return err
	}
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		segments, err := filepath.Glob(filepath.Join(dir, mergedName, "store", "*.zap"))
		if err != nil || len(segments) == 1 || time.Now().After(until) {
			return errors.Join(err, m.close())
		}
		if err := m.bleve.SetInternal([]byte("merged"), nil); err != nil {
			return err
		}
	}
}

// makeSenders writes a dictionary alone: one document that has every value.
func makeSenders(path string, values []string) error {
	b, err := sealed.NewBuilder(path, []sealed.Field{{Name: fieldSender, Fragments: true}})
	if err != nil {
		return err
	}
	if err := b.Add(sealed.Document{ID: "1", Values: map[string][]string{fieldSender: values}}); err != nil {
		return err
	}
	return b.Finish()
}

func openMerged(dir string) (*merged, error) {
	l, err := openLive(filepath.Join(dir, mergedName), filepath.Base(dir))
	if err != nil {
		return nil, err
	}
	m := &merged{live: l.(*live)}
	m.senders, err = sealed.Open(filepath.Join(dir, sendersName))
	return m, err
}

func (m *merged) close() error { return errors.Join(m.live.close(), m.senders.Close()) }

var errEnough = errors.New("enough values")

func (m *merged) newest(ctx context.Context, fragment string, limit int) ([]mail.Message, error) {
	var terms []string
	err := m.senders.Values(ctx, fieldSender, fragment, func(value []byte, _ iter.Seq[int]) error {
		if terms = append(terms, string(value)); len(terms) > mostTerms {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) || len(terms) == 0 {
		return nil, err
	}
	if err != nil {
		return m.hours(ctx, bleve.NewMatchAllQuery(), fromFragment(fragment).Terms, limit)
	}
	found := &termsQuery{field: fieldSender, terms: terms}
	few, err := m.fewer(ctx, found, broad)
	if err != nil {
		return nil, err
	}
	if few {
		return m.slice(ctx, found, Query{}, "", limit)
	}
	return m.hours(ctx, found, nil, limit)
}

// hours walks the hours of the day, newest first.
func (m *merged) hours(ctx context.Context, q query.Query, leftOut []Term, limit int) (rows []mail.Message, err error) {
	for hour := 23; hour >= 0 && len(rows) < limit; hour-- {
		inHour := bleve.NewTermQuery(fmt.Sprintf("%02d", hour))
		inHour.SetField(fieldClock)
		more, err := m.slice(ctx, holding(leftOut, bleve.NewConjunctionQuery(inHour, q)), Query{}, "", limit-len(rows))
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// mergedShards are merged shards, newest first.
type mergedShards []*merged

func openMergedShards(dir string) (layout, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var l mergedShards
	for _, e := range slices.Backward(entries) {
		m, err := openMerged(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		l = append(l, m)
	}
	return l, nil
}

func (l mergedShards) newest(ctx context.Context, fragment string, limit int) ([]string, error) {
	var ids []string
	for _, m := range l {
		rows, err := m.newest(ctx, fragment, limit-len(ids))
		if err != nil {
			return nil, err
		}
		if ids = append(ids, idsOfRows(rows)...); len(ids) >= limit {
			break
		}
	}
	return ids, nil
}

func (l mergedShards) top(ctx context.Context, n int) (map[string][]Value, error) {
	tallies := make([]*tally, len(l))
	days := make([]int, len(l))
	err := sideBySide(days, func(i, _ int) error {
		tallies[i] = newTally(Query{}, Wanted{Top: n})
		return l[i].tally(ctx, Query{}, tallies[i])
	})
	if err != nil {
		return nil, err
	}
	sum := newTally(Query{}, Wanted{Top: n})
	for _, t := range tallies {
		sum.add(ctx, t)
	}
	found := map[string][]Value{}
	for _, field := range countedFields {
		if found[field], err = sum.facets[Facet(field)].top(ctx, n, true); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (l mergedShards) close() error {
	var errs []error
	for _, m := range l {
		errs = append(errs, m.close())
	}
	return errors.Join(errs...)
}

// fragmentsOf are fragments of senders by kind; the rare ones and the tokens
// are those of the given messages.
func fragmentsOf(messages []mail.Message) map[string][]string {
	kinds := plainFragments()
	delete(kinds, "two") // SQLite's trigram index has nothing for them
	delete(kinds, "one")
	seen := map[mail.Path]int{}
	for i := range messages {
		seen[messages[i].EnvelopeFrom]++
	}
	for i := range messages {
		sender := messages[i].EnvelopeFrom
		local, _, _ := strings.Cut(string(sender), "@")
		token, isToken := strings.CutPrefix(local, "bounce-")
		switch {
		case isToken && len(kinds["token"]) < 200:
			kinds["token"] = append(kinds["token"], token[:7])
		case !isToken && seen[sender] == 1 && len(local) == len("user123456") && len(kinds["rare"]) < 200:
			kinds["rare"] = append(kinds["rare"], local+"@")
		}
	}
	return kinds
}

// TestLayoutsAnswerAlike keeps what BenchmarkLayouts compares comparable.
func TestLayoutsAnswerAlike(t *testing.T) {
	t.Parallel()
	days := []int{7000, 7000, 6000}
	kinds := fragmentsOf(benchMessages(0, days[0]))
	type answers struct {
		newest map[string][]string
		top    map[string][]Value
	}
	given := map[string]answers{}
	for name, way := range layouts {
		dir := filepath.Join(t.TempDir(), name)
		if err := errors.Join(os.Mkdir(dir, 0o700), way.make(t.Context(), dir, days)); err != nil {
			t.Fatal(err)
		}
		l, err := way.open(dir)
		if err != nil {
			t.Fatal(err)
		}
		a := answers{newest: map[string][]string{}}
		if a.top, err = l.top(t.Context(), 10); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
		for kind, list := range kinds {
			for _, fragment := range list[:min(len(list), 3)] {
				ids, err := l.newest(t.Context(), fragment, 50)
				if err != nil {
					t.Fatal(err)
				}
				if found := len(ids) > 0; found == (kind == "absent") {
					t.Errorf("%s: %d messages have %q, which is %s", name, len(ids), fragment, kind)
				}
				a.newest[fragment] = ids
			}
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
		given[name] = a
	}
	want := given["sealed"]
	for name, a := range given {
		for fragment, ids := range want.newest {
			if !slices.Equal(a.newest[fragment], ids) {
				t.Errorf("newest of %q: %s gives %d ids %.3v, sealed %d %.3v", fragment, name, len(a.newest[fragment]), a.newest[fragment], len(ids), ids)
			}
		}
		for field, values := range want.top {
			if a.top != nil && !slices.Equal(a.top[field], values) {
				t.Errorf("top of %s: %s gives %v, sealed %v", field, name, a.top[field], values)
			}
		}
	}
}

// BenchmarkLayouts holds the sealed layout against the others, all in one run:
//
//	go test ./index -run xxx -bench Layouts -benchtime 1x -index.docs=1000000
//	go test ./index -run xxx -bench Layouts -benchtime 1x -index.docs=1000000 -tags sqlite
//
// The second adds SQLite with a trigram index, and ripgrep over the lines.
func BenchmarkLayouts(b *testing.B) {
	days := daysOf(*benchDocs)
	kinds := fragmentsOf(benchMessages(len(days)-1, days[len(days)-1]))
	for _, name := range slices.Sorted(maps.Keys(layouts)) {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				benchLayout(b, name, days, kinds)
			}
		})
	}
}

func benchLayout(b *testing.B, name string, days []int, kinds map[string][]string) {
	dir := filepath.Join(b.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := layouts[name].make(b.Context(), dir, days); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(*benchDocs)/time.Since(start).Seconds(), "made/s")
	b.ReportMetric(float64(sizeOf(b, dir, ""))/float64(*benchDocs), "B/message")
	debug.FreeOSMemory()
	before := rssAnon(b)
	start = time.Now()
	l, err := layouts[name].open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			b.Error(err)
		}
	}()
	if _, err := l.newest(b.Context(), "user1@", 50); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "open+page-ms")
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		var took []time.Duration
		list := kinds[kind]
		for began, i := time.Now(), 0; i < 2*len(list) && time.Since(began) < 5*time.Second; i++ {
			start := time.Now()
			if _, err := l.newest(b.Context(), list[i%len(list)], 50); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.Logf("%-7s %-7s p50 %8.3f ms  p99 %8.3f ms  (%d searches)", name, kind, milliseconds(took[len(took)/2]), milliseconds(took[len(took)*99/100]), len(took))
	}
	start = time.Now()
	if _, err := l.top(b.Context(), 10); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		b.Fatal(err)
	}
	b.ReportMetric(milliseconds(time.Since(start)), "top-ms")
	debug.FreeOSMemory()
	b.ReportMetric(float64(rssAnon(b)-before)/(1<<20), "RssAnon-MB")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
