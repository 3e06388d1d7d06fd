package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// model is the index as a plain list: the obvious way to answer.
type model map[string]mail.Message

func (m model) page(t *testing.T, line string, after Cursor, limit int) []string {
	t.Helper()
	q, err := ParseQuery(line, noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for id, msg := range m {
		if q.inTime(msg.Time) && (after == "" || id < string(after)) && plainMatch(q, &msg) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	return ids[:min(limit, len(ids))]
}

func plainMatch(q Query, m *mail.Message) bool {
	fields := fieldsOf(m)
	fields[fieldOutcome] = []string{string(m.Outcome)}
	for _, term := range q.Terms {
		found := false
		if f, ok := exactFields[term.Field]; ok {
			found = slices.Contains(fields[f], term.Value)
		} else {
			in := fragmentFields
			if term.Field != "" {
				in = []string{fragmentFieldOf[term.Field]}
			} else {
				found = slices.Contains(fields[fieldID], term.Value)
			}
			for _, f := range in {
				found = found || slices.ContainsFunc(fields[f], func(v string) bool { return strings.Contains(v, term.Value) })
			}
		}
		if found == term.Not {
			return false
		}
	}
	return true
}

func randomMessage(r *rand.Rand) mail.Message {
	at := noon.Add(-time.Duration(r.IntN(10*24*3600)) * time.Second)
	domains := []string{"acme.example", "lists.acme.example", "example.net", "example.org"}
	m := mail.Message{
		ID: fmt.Sprintf("%013d-%016x-%012d-000", at.UnixMilli(), 7, r.IntN(1_000_000)), Time: at, Last: at,
		EnvelopeFrom: mail.Path(fmt.Sprintf("user%d@%s", r.IntN(40), domains[r.IntN(4)])), Recipient: mail.Path(fmt.Sprintf("bob%d@corp.example", r.IntN(5))),
		Outcome: []mail.Outcome{mail.Rejected, mail.Deferred, mail.Bounced}[r.IntN(3)], QueueID: fmt.Sprintf("Q%d", r.IntN(100)),
		Reply: mail.Reply{Code: []int{550, 451}[r.IntN(2)], Text: []string{"envelope blocked", "try again later"}[r.IntN(2)]},
	}
	if r.IntN(10) == 0 {
		m.EnvelopeFrom = mail.NullPath
	}
	return m
}

var modelQueries = []string{"", "since:all", "acme", "since:all acme", "from:user1@", "from:user1 -is:rejected since:all", "is:deferred code:451", "blocked since:3d",
	"since:all qid:q7", "from:<> since:all", "zzz since:all", "until:2026-11-20 since:all", "reason:again to:bob3", "since:2026-11-21", "u", "q7 since:all"}

// TestPagesEqualTheModel puts, replaces, seals, crashes, reopens and searches
// at random.
func TestPagesEqualTheModel(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			runModel(t, rand.New(rand.NewPCG(1, seed)), Options{ShardDocs: 40}, 8)
		})
	}
	t.Run("two open shards", func(t *testing.T) {
		t.Parallel()
		runModel(t, rand.New(rand.NewPCG(2, 1)), Options{ShardDocs: 40, OpenShards: 2}, 3)
	})
}

func runModel(t *testing.T, r *rand.Rand, o Options, rounds int) {
	ctx := context.Background()
	dir := t.TempDir()
	open := func() *Index {
		x, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := open()
	defer func() { x.Close() }()
	all := model{}
	for range rounds {
		if err := x.Put(ctx, all.next(r)); err != nil {
			t.Fatal(err)
		}
		switch r.IntN(4) {
		case 0:
			if err := x.Seal(ctx); err != nil {
				t.Fatal(err)
			}
		case 1:
			crashWhileSealing(t, x, r)
			fallthrough
		case 2:
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			x = open()
		}
		for _, line := range modelQueries {
			checkAgainstModel(t, x, all, line)
			checkSummary(t, x, all, line)
		}
	}
	if problems := x.Problems(); len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
}

// next makes messages, one in four a later attempt of a message seen before.
func (m model) next(r *rand.Rand) []mail.Message {
	var batch []mail.Message
	for range 30 {
		message := randomMessage(r)
		if len(m) > 0 && r.IntN(4) == 0 {
			id := slices.Sorted(maps.Keys(m))[r.IntN(len(m))]
			message = m[id]
			message.Outcome, message.Attempts = mail.Delivered, message.Attempts+1
		}
		m[message.ID] = message
		batch = append(batch, message)
	}
	return batch
}

// crashWhileSealing leaves shards as a crash does: before a sealed layer has
// its name, and after that, when the layers it stands for are still there.
func crashWhileSealing(t *testing.T, x *Index, r *rand.Rand) {
	t.Helper()
	for _, s := range x.newestFirst(Query{}) {
		layers, release, err := s.use()
		if err != nil {
			t.Fatal(err)
		}
		last := layers[len(layers)-1]
		name := filepath.Join(s.dir, layerName(last.generation, sealedSuffix))
		switch {
		case r.IntN(2) == 0:
			err = os.WriteFile(name+".new", []byte("half of a file"), 0o600)
		case strings.HasSuffix(last.path, liveSuffix):
			err = writeSealed(context.Background(), name, layers, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
}

// TestSearchWhileSealing searches in 100 sessions, seals, closes shards and
// writes at once: no answer lacks a message, and none is out of order.
func TestSearchWhileSealing(t *testing.T) {
	ctx := context.Background()
	x, err := Open(t.TempDir(), Options{ShardDocs: 60, OpenShards: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	r := rand.New(rand.NewPCG(5, 5))
	all := model{}
	if err := x.Put(ctx, all.next(r)); err != nil {
		t.Fatal(err)
	}
	q, err := ParseQuery("since:all user", noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	known := slices.Sorted(maps.Keys(all))
	known = slices.DeleteFunc(known, func(id string) bool { return all[id].EnvelopeFrom == mail.NullPath })
	var searching sync.WaitGroup
	for range 100 {
		searching.Go(func() {
			for range 2 {
				var ids []string
				for m, err := range x.Messages(ctx, q) {
					if err != nil {
						t.Error(err)
						return
					}
					ids = append(ids, m.ID)
				}
				slices.Reverse(ids)
				if !slices.IsSorted(ids) {
					t.Errorf("out of order: %v", ids)
				}
				for _, id := range known {
					if _, found := slices.BinarySearch(ids, id); !found {
						t.Errorf("%s is missing among %d", id, len(ids))
						return
					}
				}
			}
		})
	}
	for range 3 {
		if err := errors.Join(x.Put(ctx, all.next(r)), x.Seal(ctx)); err != nil {
			t.Error(err)
		}
	}
	searching.Wait()
}

func checkAgainstModel(t *testing.T, x *Index, all model, line string) {
	t.Helper()
	ctx := context.Background()
	q, err := ParseQuery(line, noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	after := Cursor("")
	for {
		p, err := x.Page(ctx, q, after, 17)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		var got []string
		for _, m := range p.Rows {
			got = append(got, m.ID)
			if m.Outcome != all[m.ID].Outcome {
				t.Errorf("%q: %s is %s, want %s", line, m.ID, m.Outcome, all[m.ID].Outcome)
			}
		}
		if want := all.page(t, line, after, 17); !slices.Equal(got, want) {
			t.Fatalf("%q after %q:\n got %v\nwant %v", line, after, got, want)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	total, err := x.Count(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(all.page(t, line, "", len(all))); total.Count != want || total.Of != len(all) {
		t.Errorf("%q: count %+v, want %d of %d", line, total, want, len(all))
	}
}

// checkSummary compares counts, bars, facets and causes with the model's.
func checkSummary(t *testing.T, x *Index, all model, line string) {
	t.Helper()
	q, err := ParseQuery(line, noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	const top, bars = 3, 7
	got, err := last(x.Summarise(context.Background(), q, Wanted{Bars: bars, Top: top, Causes: true}))
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	want := Summary{Exact: true, Facets: map[Facet][]Value{}}
	facets := map[Facet]map[string]int{FacetSender: {}, FacetRecipient: {}, FacetHost: {}, FacetDomain: {}, FacetRule: {}, FacetReason: {}}
	histogram := newBuckets(q, bars)
	groups := &causes{groups: map[string]*group{}}
	groups.from, groups.to = x.stretch(q)
	for _, id := range all.page(t, line, "", len(all)) {
		m := all[id]
		want.Count++
		for _, field := range countedFields {
			for _, v := range fieldsOf(&m)[field] {
				facets[Facet(field)][v]++
			}
		}
		for i, facet := range []Facet{FacetRule, FacetDomain, FacetReason} {
			if v := strings.Split(causeOf(&m), causeSeparator)[i]; v != "" {
				facets[facet][v]++
			}
		}
		if histogram != nil {
			histogram.add(m.Time, m.Outcome)
		}
		groups.see([]byte(causeOf(&m)), m.Time.UnixMilli())
	}
	for facet, counts := range facets {
		want.Facets[facet] = mostFirst(func(yield func(Value) bool) {
			for text, n := range counts {
				yield(Value{text, n})
			}
		}, top)
	}
	if histogram != nil {
		want.Bars = histogram.bars
	}
	want.Causes = groups.list()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary of %q differs (-model +index):\n%s", line, diff)
	}
}

// TestBroadFragmentsOfALiveLayer has more values than a query may have terms:
// documents are held against the fragments, alone and together with other terms.
func TestBroadFragmentsOfALiveLayer(t *testing.T) {
	t.Parallel()
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	messages := benchMessages(0, 1000)
	all := model{}
	for _, m := range messages {
		all[m.ID] = m
	}
	if err := x.Put(t.Context(), messages); err != nil {
		t.Fatal(err)
	}
	queueID := strings.ToLower(messages[7].QueueID)
	for _, line := range []string{"example", "from:bounce-", "-from:bounce- to:u1", "from:user -from:0@ is:deferred", "to:u host:mx from:example code:550", "-example", queueID, "u -" + queueID, "from:example until:2026-11-22T12:00"} {
		checkAgainstModel(t, x, all, "since:all "+line)
	}
}

// TestCancelledSearchesEnd asks everything of a context that has ended.
func TestCancelledSearchesEnd(t *testing.T) {
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	all := model{}
	if err := x.Put(context.Background(), all.next(rand.New(rand.NewPCG(7, 7)))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, seal := range []bool{false, true} {
		if seal {
			if err := x.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range []string{"since:all", "user since:all", "from:user1@ is:rejected since:all"} {
			q, err := ParseQuery(line, noon, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.Page(ctx, q, "", 50); !errors.Is(err, context.Canceled) {
				t.Errorf("page of %q, sealed %v: %v", line, seal, err)
			}
			if _, err := x.Count(ctx, q); !errors.Is(err, context.Canceled) {
				t.Errorf("count of %q, sealed %v: %v", line, seal, err)
			}
		}
	}
}

// TestFacetsOfManyValues has more values than sealed layers give at once.
func TestFacetsOfManyValues(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := rand.New(rand.NewPCG(6, 6))
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	all := model{}
	for day := range 3 {
		messages := benchMessages(day, 3000)
		for i := range messages {
			messages[i].EnvelopeFrom = mail.Path(fmt.Sprintf("user%d@example.net", int(r.ExpFloat64()*700)))
			all[messages[i].ID] = messages[i]
		}
		if err := x.Put(ctx, messages); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"since:all", "is:rejected since:all", "from:user1 since:all", "since:2026-11-22"} {
		checkSummary(t, x, all, line)
	}
}

// TestFacetsWithManyTies has senders that all have one message, as list tokens
// do, and recipients that nearly all have the same number: those that come
// first in the alphabet are named, with their exact numbers.
func TestFacetsWithManyTies(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	all := model{}
	for day := range 2 {
		messages := benchMessages(day, 2*mostGiven)
		for i := range messages {
			m := &messages[i]
			n := i*7919%len(messages) + day*1000 // some of a day are senders of the other day, too
			m.EnvelopeFrom = mail.Path(fmt.Sprintf("bounce-%08d@lists.example.net", n))
			m.Recipient = mail.Path(fmt.Sprintf("u%d@corp.example", n%(mostGiven+500)))
			m.Reply.Text = ""
			all[m.ID] = *m
		}
		if err := errors.Join(x.Put(ctx, messages), x.Seal(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"since:all", "from:bounce-0000 since:all", "is:deferred since:all"} {
		checkSummary(t, x, all, line)
	}
}

func TestQueryErrorsNameThePosition(t *testing.T) {
	for line, want := range map[string]string{
		`acme is:gone`:    "position 6: is:gone is not known",
		`from:a "open`:    "position 8: a quote is not closed",
		`since:yesterday`: "position 1: since: takes",
		`frm:acme`:        "position 1: unknown field",
		`a at:25:99`:      "position 3: at: takes",
	} {
		_, err := ParseQuery(line, noon, time.UTC)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

// FuzzQuery asks whatever can be parsed: sealed and live layers answer as the
// model does.
func FuzzQuery(f *testing.F) {
	for _, line := range modelQueries {
		f.Add(line)
	}
	ctx := context.Background()
	x, err := Open(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { x.Close() })
	r := rand.New(rand.NewPCG(8, 8))
	all := model{}
	if err := errors.Join(x.Put(ctx, all.next(r)), x.Seal(ctx), x.Put(ctx, all.next(r))); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		q, err := ParseQuery(line, noon, time.UTC)
		if err != nil {
			return
		}
		for _, term := range q.Terms {
			if len(term.Value) > longestTerm {
				t.Errorf("a term of %d bytes", len(term.Value))
			}
		}
		checkAgainstModel(t, x, all, line)
	})
}

func TestCorruptShardIsSetAside(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := randomMessage(rand.New(rand.NewPCG(3, 3)))
	if err := x.Put(ctx, []mail.Message{m}); err != nil {
		t.Fatal(err)
	}
	name := x.shards[0].name
	x.Close()
	breakShard(t, dir, name)
	if x, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if _, err := x.Page(ctx, Query{}, "", 10); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if p := x.Problems(); len(p) != 1 || !strings.Contains(p[0], "set aside") {
		t.Errorf("problems: %v", p)
	}
	if err := x.Put(ctx, []mail.Message{m}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Get(ctx, m.ID); err != nil {
		t.Error(err)
	}
}
