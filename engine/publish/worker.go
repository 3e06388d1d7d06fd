package publish

import (
	"context"
	"errors"
	"slices"
	"time"
)

// State is where an entry stands on a gateway.
type State string

// The states. Unfit entries can never be carried by this gateway.
const (
	Live      State = "live"
	Failed    State = "failed"
	Unfit     State = "unfit"
	Withdrawn State = "withdrawn"
)

// Standing is what the journal remembers of an entry on one gateway.
type Standing struct {
	State    State
	Detail   string
	Limits   []string
	Why      string    // of failed and unfit
	Attempts int       // failed in a row
	RetryAt  time.Time // of failed
}

// Item is an exception of the journal: an entry, whether it is to be on the
// gateway now, and where it stands there; the zero Standing when the gateway
// was never asked.
type Item struct {
	Entry
	InForce  bool
	Standing Standing
}

// Ledger is the journal as a worker needs it.
type Ledger interface {
	// Items are all exceptions with their standing on one gateway.
	Items(gateway string) []Item
	// Note journals a new standing.
	Note(ctx context.Context, gateway string, id int, s Standing) error
}

// WorkerOptions of a worker; the zero value has the defaults.
type WorkerOptions struct {
	Now        func() time.Time    // nil = time.Now
	DriftEvery time.Duration       // how often an untroubled gateway is asked again; 0 = an hour
	FirstRetry time.Duration       // pause after a first failure, doubled after each; 0 = 2 s
	LastRetry  time.Duration       // the longest pause; 0 = 10 min
	Report     func(drift Plan)    // hears what a drift check found different; nil = nobody
	Failed     func(problem error) // hears what no entry can tell, such as a journal that cannot be written; nil = nobody
}

// Worker keeps one gateway at what the journal wants.
type Worker struct {
	gateway Publisher
	ledger  Ledger
	o       WorkerOptions
	kick    chan struct{}
	checked time.Time // last look at an untroubled gateway
}

// NewWorker makes a worker; Run starts it.
func NewWorker(gateway Publisher, ledger Ledger, o WorkerOptions) *Worker {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.DriftEvery == 0 {
		o.DriftEvery = time.Hour
	}
	if o.FirstRetry == 0 {
		o.FirstRetry = 2 * time.Second
	}
	if o.LastRetry == 0 {
		o.LastRetry = 10 * time.Minute
	}
	if o.Report == nil {
		o.Report = func(Plan) {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return &Worker{gateway: gateway, ledger: ledger, o: o, kick: make(chan struct{}, 1)}
}

// Kick says that the journal has news.
func (w *Worker) Kick() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run works until ctx ends: at once, at every kick, when an entry expires, when
// a retry is due and, to find drift, every DriftEvery.
func (w *Worker) Run(ctx context.Context) error {
	for {
		next, err := w.Round(ctx)
		if err != nil && ctx.Err() == nil {
			w.o.Failed(err)
		}
		pause := time.NewTimer(max(next.Sub(w.o.Now()), time.Millisecond))
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-w.kick:
		case <-pause.C:
		}
		pause.Stop()
	}
}

// Round does what is due now and returns when the next thing is. The error is
// the journal's, not the gateway's: that one is in the standings.
func (w *Worker) Round(ctx context.Context) (next time.Time, err error) {
	now := w.o.Now()
	items := w.ledger.Items(w.gateway.Name())
	drift := w.checked.IsZero() || !now.Before(w.checked.Add(w.o.DriftEvery))
	work := w.sort(items, now)
	if work.due || drift {
		err = w.bring(ctx, work, drift && !work.due)
		w.checked = now
	}
	return w.next(now), err
}

// agenda is what one look at the journal asks for.
type agenda struct {
	want  []Entry // what the gateway shall have
	items map[int]Item
	open  []int // entries that are not where they shall be
	unfit map[int]error
	due   bool
}

func (w *Worker) sort(items []Item, now time.Time) agenda {
	a := agenda{items: map[int]Item{}, unfit: map[int]error{}}
	for _, it := range items {
		a.items[it.ID] = it
		retryDue := it.Standing.State != Failed || !now.Before(it.Standing.RetryAt)
		switch {
		case it.InForce:
			if _, err := w.gateway.Fits(it.Entry); err != nil {
				a.unfit[it.ID] = err
				a.due = a.due || it.Standing.State != Unfit
				continue
			}
			a.want = append(a.want, it.Entry)
			if it.Standing.State != Live {
				a.open = append(a.open, it.ID)
				a.due = a.due || retryDue
			}
		case it.Standing.State == Live || it.Standing.State == Failed:
			a.open = append(a.open, it.ID)
			a.due = a.due || retryDue
		}
	}
	return a
}

// bring applies the agenda and journals what became of it.
func (w *Worker) bring(ctx context.Context, a agenda, onlyDrift bool) error {
	var plan Plan
	var err error
	if onlyDrift {
		if plan, err = w.gateway.Plan(ctx, a.want); len(plan) > 0 {
			w.o.Report(plan)
		}
	}
	if err == nil && (!onlyDrift || len(plan) > 0) { // what a crash left half done shows in no plan
		err = w.gateway.Apply(ctx, a.want)
	}
	if err == nil || isPartial(err) {
		err = joinEntries(err, w.gateway.Verify(ctx, a.want))
	}
	if ctx.Err() != nil {
		return nil // the next start does it again
	}
	var failed []error
	for id, it := range a.items {
		s, ok := w.standing(it, a, err)
		if !ok {
			continue
		}
		failed = append(failed, w.ledger.Note(ctx, w.gateway.Name(), id, s))
	}
	return errors.Join(failed...)
}

// standing is where an entry stands after a round; ok is false when it says
// nothing about the gateway.
func (w *Worker) standing(it Item, a agenda, err error) (Standing, bool) {
	if unfit := a.unfit[it.ID]; unfit != nil {
		return Standing{State: Unfit, Why: unfit.Error()}, it.Standing.State != Unfit || it.Standing.Why != unfit.Error()
	}
	mine := err
	var some EntryErrors
	if errors.As(err, &some) {
		mine = some[it.ID]
	}
	if !it.InForce && !slices.Contains(a.open, it.ID) {
		return Standing{}, false
	}
	if mine != nil {
		n := it.Standing.Attempts + 1
		return Standing{State: Failed, Why: mine.Error(), Attempts: n, RetryAt: w.o.Now().Add(w.backOff(n))}, true
	}
	if !it.InForce {
		return Standing{State: Withdrawn}, true
	}
	limits, _ := w.gateway.Fits(it.Entry)
	return Standing{State: Live, Limits: limits}, it.Standing.State != Live || !slices.Equal(it.Standing.Limits, limits)
}

func (w *Worker) backOff(attempts int) time.Duration {
	pause := w.o.FirstRetry
	for ; attempts > 1 && pause < w.o.LastRetry; attempts-- {
		pause *= 2
	}
	return min(pause, w.o.LastRetry)
}

// next is the earliest of the next drift check, retry and expiry.
func (w *Worker) next(now time.Time) time.Time {
	next := w.checked.Add(w.o.DriftEvery)
	sooner := func(at time.Time) {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	for _, it := range w.ledger.Items(w.gateway.Name()) {
		if it.Standing.State == Failed {
			sooner(it.Standing.RetryAt)
		}
		if it.InForce {
			sooner(it.Expires)
		}
	}
	if next.Before(now) {
		return now.Add(w.o.FirstRetry)
	}
	return next
}

func isPartial(err error) bool {
	var some EntryErrors
	return errors.As(err, &some)
}

// joinEntries puts the failures of two steps together; one that concerns all
// stands for all.
func joinEntries(a, b error) error {
	var x, y EntryErrors
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case errors.As(a, &x) && errors.As(b, &y):
		all := EntryErrors{}
		for id, err := range y {
			all[id] = err
		}
		for id, err := range x {
			all[id] = err
		}
		return all
	case errors.As(a, &x):
		return b
	}
	return a
}
