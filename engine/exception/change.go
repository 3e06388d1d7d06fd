package exception

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Revoke ends an exception now; this is also undo. Operators and admins may
// revoke any exception; a proposal is declined by it, or taken back. The next message is stopped again; what was let in
// meanwhile stays in.
func (s *Service) Revoke(ctx context.Context, actor Actor, id int, reason string) (Exception, error) {
	return s.amend(ctx, id, func(e Exception, now time.Time) (entry, error) {
		if err := refusal([]Guard{guardRole(actor), s.guardWritable(), guardText("reason", reason)}); err != nil {
			return entry{}, err
		}
		if !e.InForce(now) && e.State(now) != Proposed {
			return entry{}, fmt.Errorf("exception %d is %s already", id, e.State(now))
		}
		return entry{Kind: entryRevoke, Actor: actor, Reason: clean(reason)}, nil
	})
}

// Extend moves the expiry; until zero means DefaultLife from now. What an actor
// may not create they may not extend, and endless renewal needs an approver: a
// *RefusedError says so.
func (s *Service) Extend(ctx context.Context, actor Actor, id int, until time.Time, reason string) (Exception, error) {
	return s.amend(ctx, id, func(e Exception, now time.Time) (entry, error) {
		until := until.UTC().Truncate(time.Millisecond)
		if until.IsZero() {
			until = now.Add(DefaultLife)
			if !later(until, e.Expires) {
				return entry{}, fmt.Errorf("exception %d lives longer than that already", id)
			}
		}
		if err := refusal(append(extendGuards(e, actor, until, reason, now), s.guardOpen())); err != nil {
			return entry{}, err
		}
		if !e.InForce(now) {
			return entry{}, fmt.Errorf("exception %d is %s: what ended is not extended, create a new one", id, e.State(now))
		}
		return entry{Kind: entryExtend, Actor: actor, Until: until, Reason: clean(reason)}, nil
	})
}

// Confirm records that the steps of an exception were done on the gateway: from
// then on it is Live.
func (s *Service) Confirm(ctx context.Context, actor Actor, id int) (Exception, error) {
	return s.amend(ctx, id, func(e Exception, now time.Time) (entry, error) {
		if err := refusal([]Guard{guardRole(actor), s.guardWritable()}); err != nil {
			return entry{}, err
		}
		if state := e.State(now); state != Pending {
			return entry{}, fmt.Errorf("exception %d is %s: nothing is left to confirm", id, state)
		}
		return entry{Kind: entryConfirm, Actor: actor}, nil
	})
}

// ErrNoException is returned for an id no exception has.
var ErrNoException = errors.New("no such exception")

// amend appends an entry about an exception and returns the exception after it.
func (s *Service) amend(ctx context.Context, id int, decide func(e Exception, now time.Time) (entry, error)) (Exception, error) {
	err := s.write(ctx, func() (entry, error) {
		if id < 1 || id > len(s.ledger.exceptions) {
			return entry{}, fmt.Errorf("exception %d: %w", id, ErrNoException)
		}
		now := s.instant()
		n, err := decide(s.ledger.exceptions[id-1], now)
		n.ID, n.Time = id, now
		return n, err
	})
	if err != nil {
		return Exception{}, err
	}
	e, _ := s.Get(id)
	return e, nil
}
