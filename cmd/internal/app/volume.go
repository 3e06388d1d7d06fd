package app

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Volume is what one of our senders sent outside on one day: what sending
// limits are about (Exchange Online's 5.7.705, 5.1.8 and 5.1.90, the vendor's
// "Exceeding outbound thread limit").
type Volume struct {
	Sender     string `json:"sender"`     // envelope from, folded
	Day        string `json:"day"`        // of the configured time zone
	Messages   int    `json:"messages"`   // one for each recipient
	Recipients int    `json:"recipients"` // distinct
	Failed     int    `json:"failed"`     // of the messages: refused, deferred, bounced
}

// Volumes counts the messages a query finds that went, or were to go, from
// inside to outside, by sender and day, most messages first. Without deliveries
// in the index (all: true in the configuration) only those that failed count.
func (r Reader) Volumes(ctx context.Context, q index.Query, loc *time.Location) ([]Volume, error) {
	set := r.app.Set()
	type key struct{ sender, day string }
	type sum struct {
		messages, failed int
		recipients       map[mail.Path]bool
	}
	sums := map[key]*sum{}
	err := r.each(ctx, q, func(m *mail.Message) {
		if !m.EnvelopeFrom.Known() || m.EnvelopeFrom.Null() {
			return
		}
		switch m.Direction {
		case mail.Outbound:
		case mail.Inbound, mail.Internal, mail.External:
			return
		default:
			if !set.Internal(m.EnvelopeFrom) || !m.Recipient.Known() || set.Internal(m.Recipient) {
				return
			}
		}
		k := key{string(m.EnvelopeFrom.Fold()), m.Time.In(loc).Format(time.DateOnly)}
		s := sums[k]
		if s == nil {
			s = &sum{recipients: map[mail.Path]bool{}}
			sums[k] = s
		}
		s.messages++
		s.recipients[m.Recipient.Fold()] = true
		if !m.Outcome.LetIn() {
			s.failed++
		}
	})
	var list []Volume
	for k, s := range sums {
		list = append(list, Volume{k.sender, k.day, s.messages, len(s.recipients), s.failed})
	}
	slices.SortFunc(list, func(a, b Volume) int {
		return cmp.Or(b.Messages-a.Messages, strings.Compare(b.Day, a.Day), strings.Compare(a.Sender, b.Sender))
	})
	return list, err
}
