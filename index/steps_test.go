package index

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

var (
	modelSteps = flag.Int("index.steps", 3000, "steps of TestStepsEqualTheModel, half of them with each of two seeds")
	modelSeed  = flag.Uint64("index.seed", 1, "the first seed of TestStepsEqualTheModel")
)

// ledger is the model of a long life: messages in the order of ids, with the
// values they are found by.
type ledger struct {
	ids      []string // ascending
	messages map[string]*entry
}

type entry struct {
	mail.Message
	fields map[string][]string
}

func (l *ledger) put(m mail.Message) {
	if l.messages[m.ID] == nil {
		at, _ := slices.BinarySearch(l.ids, m.ID)
		l.ids = slices.Insert(l.ids, at, m.ID)
	}
	l.messages[m.ID] = &entry{m, fieldsOf(&m)}
}

// remove takes out the messages for which gone is true.
func (l *ledger) remove(gone func(*mail.Message) bool) {
	l.ids = slices.DeleteFunc(l.ids, func(id string) bool {
		if !gone(&l.messages[id].Message) {
			return false
		}
		delete(l.messages, id)
		return true
	})
}

func (l *ledger) page(q Query, after Cursor, limit int) (ids []string, more bool) {
	for _, id := range slices.Backward(l.ids) {
		if e := l.messages[id]; (after == "" || id < string(after)) && q.inTime(e.Time) && hasTerms(q, e.fields) {
			if len(ids) == limit {
				return ids, true
			}
			ids = append(ids, id)
		}
	}
	return ids, false
}

func hasTerms(q Query, fields map[string][]string) bool {
	return !slices.ContainsFunc(q.Terms, func(t Term) bool { return t.in(fields) == t.Not })
}

// life is an index and what it ought to hold.
type life struct {
	t     *testing.T
	r     *rand.Rand
	dir   string
	x     *Index
	want  *ledger
	now   time.Time // of the index's clock
	keeps int       // days of retention; 0 = all
}

// TestStepsEqualTheModel lives a long life at random: messages arrive, late
// ones and later attempts among them, shards fill, are sealed, compacted and
// rebuilt, the process ends well or in the middle of sealing, days pass,
// retention takes the oldest, people are forgotten. Every page, message and
// total on the way is what the model says.
//
//	go test ./index -run StepsEqual -index.steps=10000000 -index.seed=7 -timeout 24h
func TestStepsEqualTheModel(t *testing.T) {
	for seed := *modelSeed; seed < *modelSeed+2; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			l := &life{t: t, r: rand.New(rand.NewPCG(seed, 20)), dir: t.TempDir(), want: &ledger{messages: map[string]*entry{}}, now: noon}
			l.open()
			defer func() { l.x.Close() }()
			for step := range *modelSteps / 2 {
				l.step()
				if t.Failed() {
					t.Fatalf("at step %d", step)
				}
			}
			if problems := l.x.Problems(); len(problems) > 0 {
				t.Errorf("problems: %q", problems)
			}
		})
	}
}

// step does one thing; what is rare in a life is rare here.
func (l *life) step() {
	ctx := l.t.Context()
	switch n := l.r.IntN(100_000); {
	case n < 10:
		l.check(l.x.Compact(ctx))
	case n < 20:
		l.check(l.x.Rebuild(ctx))
	case n < 80:
		l.check(l.x.Seal(ctx))
	case n < 120:
		l.reopen(false)
	case n < 160:
		l.reopen(true)
	case n < 200:
		l.forget()
	case n < 230:
		l.now = l.now.Add(time.Duration(l.r.IntN(48)-12) * time.Hour) // clocks go wrong, too
		l.keeps = l.r.IntN(3) * 6
		l.reopen(false)
	case n < 2500:
		l.arrive()
	case n < 4000:
		l.total()
	case n < 40_000:
		l.get()
	default:
		l.search()
	}
}

func (l *life) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// open opens the index; days past retention are gone then.
func (l *life) open() {
	x, err := Open(l.dir, Options{ShardDocs: 50, OpenShards: []int{6, 100, 100, 100}[l.r.IntN(4)], RetentionDays: l.keeps, Now: func() time.Time { return l.now }})
	l.check(err)
	l.x = x
	oldest := x.oldestDay()
	l.want.remove(func(m *mail.Message) bool { return m.Time.Format(time.DateOnly) < oldest })
}

func (l *life) reopen(crash bool) {
	if crash {
		crashWhileSealing(l.t, l.x, l.r)
	}
	l.check(l.x.Close())
	l.open()
}

// arrive puts some messages of the last days: new ones, and later attempts.
func (l *life) arrive() {
	var batch []mail.Message
	for range 1 + l.r.IntN(4) {
		m := randomMessage(l.r)
		m.Time = m.Time.Add(l.now.Sub(noon)).Truncate(time.Second)
		m.ID = fmt.Sprintf("%013d%s", m.Time.UnixMilli(), m.ID[13:])
		m.Evidence = []mail.Evidence{{File: "maillog", Offset: int64(l.r.IntN(1e6)), Text: fmt.Sprintf("from=<%s>, to=<%s>, status=%s", m.EnvelopeFrom, m.Recipient, m.Outcome)}}
		if len(l.want.ids) > 0 && l.r.IntN(4) == 0 {
			m = l.want.messages[l.anyID()].Message
			m.Outcome, m.Attempts = mail.Delivered, m.Attempts+1
		}
		if oldest := l.x.oldestDay(); m.Time.Format(time.DateOnly) >= oldest {
			l.want.put(m)
		}
		batch = append(batch, m)
	}
	l.check(l.x.Put(l.t.Context(), batch))
	if len(l.want.ids) > 1200 { // nobody keeps everything
		l.keeps = 6
		l.now = l.now.AddDate(0, 0, 1)
		l.reopen(false)
	}
}

func (l *life) anyID() string { return l.want.ids[l.r.IntN(len(l.want.ids))] }

func (l *life) forget() {
	if len(l.want.ids) == 0 {
		return
	}
	address := l.want.messages[l.anyID()].EnvelopeFrom
	if address == mail.NullPath {
		return
	}
	before := len(l.want.ids)
	l.want.remove(func(m *mail.Message) bool { return names(m, folded(address)) })
	done, err := l.x.Forget(l.t.Context(), address)
	l.check(err)
	if done.Messages != before-len(l.want.ids) {
		l.t.Errorf("%d messages of %s forgotten, want %d", done.Messages, address, before-len(l.want.ids))
	}
}

// query makes a query line of what some message has.
func (l *life) query() Query {
	line := modelQueries[l.r.IntN(len(modelQueries))]
	if len(l.want.ids) > 0 && l.r.IntN(2) == 0 {
		m := l.want.messages[l.anyID()].Message
		address := string(m.EnvelopeFrom)
		from := l.r.IntN(len(address))
		line = strings.Join([]string{
			[]string{"since:all", "since:3d", "", m.Time.Format("at:15:04")}[l.r.IntN(4)],
			[]string{"", "-", "from:"}[l.r.IntN(3)] + address[from:from+1+l.r.IntN(len(address)-from)],
			[]string{"", "is:" + string(m.Outcome), "-is:delivered", fmt.Sprint("code:", m.Reply.Code), "qid:" + m.QueueID}[l.r.IntN(5)],
		}, " ")
	}
	q, err := ParseQuery(line, l.now, time.UTC)
	if err != nil {
		l.t.Fatalf("%q: %v", line, err)
	}
	return q
}

func (l *life) search() {
	q, limit := l.query(), 1+l.r.IntN(60)
	after := Cursor("")
	if len(l.want.ids) > 0 && l.r.IntN(3) == 0 {
		after = Cursor(l.anyID())
	}
	p, err := l.x.Page(l.t.Context(), q, after, limit)
	l.check(err)
	want, more := l.want.page(q, after, limit)
	if got := idsOfRows(p.Rows); !slices.Equal(got, want) || (p.Next != "") != more {
		l.t.Errorf("%+v after %q: %d rows, next %q:\n got %v\nwant %v", q, after, limit, p.Next, got, want)
	}
	for i := range p.Rows {
		if m := &p.Rows[i]; m.Outcome != l.want.messages[m.ID].Outcome {
			l.t.Errorf("%s is %s, want %s", m.ID, m.Outcome, l.want.messages[m.ID].Outcome)
		}
	}
}

func (l *life) get() {
	if len(l.want.ids) == 0 {
		return
	}
	id := l.anyID()
	m, err := l.x.Get(l.t.Context(), id)
	l.check(err)
	want := l.want.messages[id]
	if m.Outcome != want.Outcome || m.Attempts != want.Attempts || !slices.Equal(m.Evidence, want.Evidence) {
		l.t.Errorf("%s is %+v, want %+v", id, m, want.Message)
	}
	if _, err := l.x.Get(l.t.Context(), id[:len(id)-1]+"9"); !errors.Is(err, ErrNotFound) {
		l.t.Errorf("an id that nothing has: %v", err)
	}
}

func (l *life) total() {
	q := l.query()
	s, err := last(l.x.Summarise(context.WithoutCancel(l.t.Context()), q, Wanted{Top: 3}))
	l.check(err)
	ids, _ := l.want.page(q, "", len(l.want.ids))
	senders := map[string]int{}
	for _, id := range ids {
		for _, sender := range l.want.messages[id].fields[fieldSender] {
			senders[sender]++
		}
	}
	top := mostFirst(func(yield func(Value) bool) {
		for text, n := range senders {
			if !yield(Value{text, n}) {
				return
			}
		}
	}, 3)
	if s.Count != len(ids) || !slices.Equal(s.Facets[FacetSender], top) {
		l.t.Errorf("%+v: %d messages of %v, want %d of %v", q, s.Count, s.Facets[FacetSender], len(ids), top)
	}
}
