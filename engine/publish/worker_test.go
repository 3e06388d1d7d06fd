package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// fakeGateway holds entries and fails when told to.
type fakeGateway struct {
	has     map[int]bool
	applied int
	broken  error
	unfit   map[int]bool
}

func (g *fakeGateway) Name() string                       { return "fake" }
func (g *fakeGateway) Lifts(*mail.Message) (bool, string) { return true, "" }
func (g *fakeGateway) Withdraw(ctx context.Context) error { return g.Apply(ctx, nil) }

func (g *fakeGateway) Fits(e Entry) ([]string, error) {
	if g.unfit[e.ID] {
		return nil, errors.New("not here")
	}
	return nil, nil
}

func (g *fakeGateway) Plan(_ context.Context, want []Entry) (p Plan, err error) {
	for _, e := range want {
		if !g.has[e.ID] {
			p = append(p, fmt.Sprintf("+ %d", e.ID))
		}
	}
	return p, nil
}

func (g *fakeGateway) Apply(_ context.Context, want []Entry) error {
	g.applied++
	if g.broken != nil {
		return g.broken
	}
	g.has = map[int]bool{}
	for _, e := range want {
		g.has[e.ID] = true
	}
	return nil
}

func (g *fakeGateway) Verify(_ context.Context, want []Entry) error {
	failed := EntryErrors{}
	for _, e := range want {
		if !g.has[e.ID] {
			failed[e.ID] = errors.New("not there")
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// fakeLedger is a journal in memory.
type fakeLedger struct {
	items map[int]Item
	notes int
}

func (l *fakeLedger) Items(string) []Item {
	var all []Item
	for _, id := range slices.Sorted(maps.Keys(l.items)) {
		all = append(all, l.items[id])
	}
	return all
}

func (l *fakeLedger) Note(_ context.Context, _ string, id int, s Standing) error {
	it := l.items[id]
	it.Standing = s
	l.items[id] = it
	l.notes++
	return nil
}

func (l *fakeLedger) put(id int, inForce bool) {
	it := l.items[id]
	it.ID, it.InForce = id, inForce
	l.items[id] = it
}

type bench struct {
	now     time.Time
	gateway *fakeGateway
	ledger  *fakeLedger
	worker  *Worker
	drifts  []Plan
}

func newBench() *bench {
	b := &bench{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), gateway: &fakeGateway{has: map[int]bool{}}, ledger: &fakeLedger{items: map[int]Item{}}}
	b.restart()
	return b
}

// restart forgets what a worker had in memory.
func (b *bench) restart() {
	b.worker = NewWorker(b.gateway, b.ledger, WorkerOptions{Now: func() time.Time { return b.now }, Report: func(p Plan) { b.drifts = append(b.drifts, p) }})
}

func (b *bench) round(t *testing.T) time.Time {
	t.Helper()
	next, err := b.worker.Round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func (b *bench) state(id int) State { return b.ledger.items[id].Standing.State }

func TestWorkerPublishesAndWithdraws(t *testing.T) {
	b := newBench()
	b.ledger.put(1, true)
	b.round(t)
	if b.state(1) != Live || !b.gateway.has[1] {
		t.Fatalf("published: %+v on %v", b.ledger.items[1], b.gateway.has)
	}
	b.ledger.put(1, false)
	b.round(t)
	if b.state(1) != Withdrawn || b.gateway.has[1] {
		t.Fatalf("withdrawn: %+v on %v", b.ledger.items[1], b.gateway.has)
	}
	applied, notes := b.gateway.applied, b.ledger.notes
	b.round(t)
	if b.gateway.applied != applied || b.ledger.notes != notes {
		t.Error("a round with nothing to do did something")
	}
}

func TestWorkerTriesAgainLaterAndLater(t *testing.T) {
	b := newBench()
	b.ledger.put(1, true)
	b.gateway.broken = errors.New("database is locked")
	var pauses []time.Duration
	for range 12 {
		next := b.round(t)
		s := b.ledger.items[1].Standing
		if s.State != Failed || s.Why != "database is locked" || !s.RetryAt.Equal(next) {
			t.Fatalf("standing %+v, next round %s", s, next)
		}
		pauses = append(pauses, next.Sub(b.now))
		b.restart() // the next try is in the journal
		b.worker.checked = b.now
		if applied := b.gateway.applied; b.round(t) != next || b.gateway.applied != applied {
			t.Fatal("it tried again before its time")
		}
		b.now = next
	}
	if pauses[0] != 2*time.Second || pauses[1] != 4*time.Second || pauses[11] != 10*time.Minute {
		t.Errorf("pauses %v", pauses)
	}
	b.gateway.broken = nil
	b.round(t)
	if b.state(1) != Live || b.ledger.items[1].Standing.Attempts != 0 {
		t.Errorf("in the end %+v", b.ledger.items[1].Standing)
	}
}

func TestWorkerFindsDrift(t *testing.T) {
	b := newBench()
	b.ledger.put(1, true)
	b.round(t)
	b.gateway.has = map[int]bool{} // somebody rebuilt the map
	b.now = b.now.Add(59 * time.Minute)
	if b.round(t); len(b.drifts) != 0 {
		t.Fatal("looked before the hour was over")
	}
	b.now = b.now.Add(time.Minute)
	if b.round(t); len(b.drifts) != 1 || !b.gateway.has[1] {
		t.Errorf("drift %v, gateway has %v", b.drifts, b.gateway.has)
	}
	b.gateway.has = map[int]bool{}
	b.restart()
	if b.round(t); len(b.drifts) != 2 {
		t.Error("a start did not look for drift")
	}
}

func TestWorkerKeepsOneFailureFromTheOthers(t *testing.T) {
	b := newBench()
	b.ledger.put(1, true)
	b.ledger.put(2, true)
	b.gateway.unfit = map[int]bool{2: true}
	b.round(t)
	if b.state(1) != Live || b.state(2) != Unfit {
		t.Errorf("states %s, %s", b.state(1), b.state(2))
	}
	b.ledger.put(3, true)
	b.gateway.broken = EntryErrors{3: errors.New("forbidden")}
	b.round(t)
	if b.state(1) != Live || b.state(3) != Failed {
		t.Errorf("states %s, %s", b.state(1), b.state(3))
	}
}

func TestWorkerWakesAtExpiry(t *testing.T) {
	b := newBench()
	b.ledger.items[1] = Item{Entry: Entry{ID: 1, Expires: b.now.Add(5 * time.Minute), Change: engine.Change{}}, InForce: true}
	if next := b.round(t); !next.Equal(b.now.Add(5 * time.Minute)) {
		t.Errorf("next round at %s", next)
	}
}
