package exception

import (
	"fmt"
	"time"
)

// PolicyEdit is one change of the policy file as it was noticed.
type PolicyEdit struct {
	Path       string    `json:"path"`
	Hash       string    `json:"hash"`
	Owner      string    `json:"owner"`
	Time       time.Time `json:"time"`
	Difference []string  `json:"difference"`
}

// ledger is the fold of a journal's entries.
type ledger struct {
	exceptions []Exception // exception n stands at n-1
	effects    []effect    // beside exceptions
	edits      []PolicyEdit
}

// check says why an entry cannot follow what the ledger holds, in a sentence
// about the entry; nil when it can.
func (l *ledger) check(e entry) error {
	switch e.Kind {
	case entryCreate:
		switch {
		case e.Exception == nil || e.Effect == nil:
			return fmt.Errorf("it creates nothing")
		case e.Exception.ID != len(l.exceptions)+1:
			return fmt.Errorf("it creates exception %d where %d is next", e.Exception.ID, len(l.exceptions)+1)
		}
		return nil
	case entryPolicyEdit:
		if e.Policy == nil {
			return fmt.Errorf("it records no policy edit")
		}
		return nil
	case entryRevoke, entryExtend, entryApprove, entryConfirm, entryPublish:
	default:
		return fmt.Errorf("its kind %q is not known to this version", e.Kind)
	}
	if e.ID < 1 || e.ID > len(l.exceptions) {
		return fmt.Errorf("it speaks of exception %d, which does not exist", e.ID)
	}
	x := l.exceptions[e.ID-1]
	switch {
	case e.Kind == entryPublish: // what ended is still to be withdrawn
		return nil
	case !x.Revoked.IsZero():
		return fmt.Errorf("it speaks of exception %d, which was revoked before", e.ID)
	case e.Kind == entryApprove && e.Actor.Name == x.Actor.Name:
		return fmt.Errorf("%s approves their own exception %d", e.Actor.Name, e.ID)
	}
	return nil
}

// apply folds an entry that check let pass.
func (l *ledger) apply(e entry) {
	switch e.Kind {
	case entryCreate:
		l.exceptions = append(l.exceptions, *e.Exception)
		l.effects = append(l.effects, *e.Effect)
	case entryRevoke:
		x := &l.exceptions[e.ID-1]
		x.Revoked, x.RevokedBy, x.RevokeReason = e.Time, e.Actor.Name, e.Reason
	case entryExtend:
		x := &l.exceptions[e.ID-1]
		if later(e.Until, x.Expires) {
			x.Extensions++
		}
		x.Expires = e.Until
	case entryApprove:
		l.exceptions[e.ID-1].ApprovedBy = e.Actor.Name
	case entryConfirm:
		l.exceptions[e.ID-1].Confirmed = e.Time
	case entryPublish:
		x := &l.exceptions[e.ID-1]
		x.Published = x.withReceipts(e.Receipts)
	case entryPolicyEdit:
		l.edits = append(l.edits, *e.Policy)
	}
}

// later reports whether one expiry comes after another; zero is never, which
// comes after all.
func later(a, b time.Time) bool {
	switch {
	case b.IsZero():
		return false
	case a.IsZero():
		return true
	}
	return a.After(b)
}

// inForce gives the exceptions that count at now.
func (l *ledger) inForce(now time.Time) []Exception {
	var live []Exception
	for _, e := range l.exceptions {
		if e.InForce(now) {
			live = append(live, e)
		}
	}
	return live
}

// ended gives the exceptions that count no more at now.
func (l *ledger) ended(now time.Time) []Exception {
	var over []Exception
	for _, e := range l.exceptions {
		if !e.InForce(now) {
			over = append(over, e)
		}
	}
	return over
}
