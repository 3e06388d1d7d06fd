package exception

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PublishState is where an exception stands on one gateway.
type PublishState string

// The publish states. Unfit: this gateway can never carry it, Why says the
// reason; its other gateways or a person have to.
const (
	PublishLive      PublishState = "live"
	PublishFailed    PublishState = "failed" // tried again at RetryAt
	PublishUnfit     PublishState = "unfit"
	PublishWithdrawn PublishState = "withdrawn" // it ended and the gateway forgot it
)

// Receipt is what one gateway answered about one exception.
type Receipt struct {
	Gateway  string       `json:"gateway"` // its name in the configuration
	State    PublishState `json:"state"`
	Detail   string       `json:"detail,omitempty"`   // where it stands on the gateway
	Limits   []string     `json:"limits,omitempty"`   // what this gateway cannot lift, a sentence each
	Why      string       `json:"why,omitempty"`      // of failed and unfit
	Attempts int          `json:"attempts,omitempty"` // failed in a row
	Time     time.Time    `json:"time"`
	RetryAt  time.Time    `json:"retry_at,omitzero"` // of failed
}

func (r Receipt) same(o Receipt) bool {
	return r.Gateway == o.Gateway && r.State == o.State && r.Detail == o.Detail && r.Why == o.Why &&
		r.Attempts == o.Attempts && r.RetryAt.Equal(o.RetryAt) && slices.Equal(r.Limits, o.Limits)
}

// NotePublished journals what gateways answered about an exception, ended ones
// included. Receipts that say nothing new write nothing.
func (s *Service) NotePublished(ctx context.Context, id int, receipts []Receipt) error {
	err := s.write(ctx, func() (entry, error) {
		if id < 1 || id > len(s.ledger.exceptions) {
			return entry{}, fmt.Errorf("exception %d: %w", id, ErrNoException)
		}
		now := s.instant()
		var news []Receipt
		for _, r := range receipts {
			r.Gateway, r.Detail, r.Why, r.Limits, r.Time = clean(r.Gateway), clean(r.Detail), clean(r.Why), cleanAll(r.Limits), now
			r.RetryAt = r.RetryAt.UTC().Truncate(time.Millisecond)
			if old, ok := s.ledger.exceptions[id-1].Receipt(r.Gateway); !ok || !old.same(r) {
				news = append(news, r)
			}
		}
		if len(news) == 0 {
			return entry{}, errNothing
		}
		return entry{Time: now, Kind: entryPublish, ID: id, Receipts: news}, nil
	})
	if err == errNothing {
		return nil
	}
	return err
}

// Receipt returns the newest answer of one gateway.
func (e Exception) Receipt(gateway string) (Receipt, bool) {
	for _, r := range e.Published {
		if r.Gateway == gateway {
			return r, true
		}
	}
	return Receipt{}, false
}

// withReceipts replaces what the same gateways answered before; the list of
// another copy of the exception stays as it is.
func (e Exception) withReceipts(news []Receipt) []Receipt {
	kept := slices.DeleteFunc(slices.Clone(e.Published), func(r Receipt) bool {
		return slices.ContainsFunc(news, func(n Receipt) bool { return n.Gateway == r.Gateway })
	})
	kept = append(kept, news...)
	slices.SortFunc(kept, func(a, b Receipt) int { return strings.Compare(a.Gateway, b.Gateway) })
	return kept
}

// published sums its receipts up: failed when one gateway failed, live when
// none did and one has it.
func (e Exception) published() PublishState {
	var sum PublishState
	for _, r := range e.Published {
		switch {
		case r.State == PublishFailed:
			return PublishFailed
		case r.State == PublishLive:
			sum = PublishLive
		}
	}
	return sum
}

// PublishNote is one line about where it stands on the gateways: why one of
// them failed and when it is tried again, or where it is live. "" when no
// gateway was asked.
func (e Exception) PublishNote() string {
	var parts []string
	for _, r := range e.Published {
		switch r.State {
		case PublishFailed:
			parts = append(parts, fmt.Sprintf("%s failed: %s; tried again at %s", r.Gateway, r.Why, r.RetryAt.UTC().Format("2006-01-02 15:04:05 UTC")))
		case PublishUnfit:
			parts = append(parts, fmt.Sprintf("%s cannot carry it: %s", r.Gateway, r.Why))
		default:
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.State, "on "+r.Gateway, r.Detail)))
		}
	}
	return strings.Join(parts, "; ")
}
