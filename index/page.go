package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"mailwhy/engine/mail"
)

// Get returns one message by its id, with its lines.
func (x *Index) Get(ctx context.Context, id string) (mail.Message, error) {
	day, err := dayOf(id)
	if err != nil {
		return mail.Message{}, ErrNotFound
	}
	for _, s := range x.partsOf(day) {
		if !x.open(s) {
			continue
		}
		m, err := s.get(ctx, id)
		if !errors.Is(err, ErrNotFound) {
			return m, err
		}
	}
	return mail.Message{}, cmp.Or(x.whole(nil), ErrNotFound)
}

// Cursor is the id of the row after which a page starts; "" = at the newest.
type Cursor string

// Page is some rows of an answer, newest first.
type Page struct {
	Rows []mail.Message
	Next Cursor // "" when there are no more
}

// Page returns up to limit messages that match, newest first, after the
// cursor. Their evidence has no text; see Evidence.
func (x *Index) Page(ctx context.Context, q Query, after Cursor, limit int) (Page, error) {
	leave, err := admit(ctx, x.searching)
	if err != nil {
		return Page{}, err
	}
	defer leave()
	afterDay, err := dayOf(string(after))
	if err != nil {
		afterDay = ""
	}
	var rows []mail.Message
	for _, s := range x.newestFirst(q) {
		if afterDay != "" && s.day() > afterDay {
			continue
		}
		above := ""
		if len(rows) > limit {
			if above = rows[limit].ID; s.day() < dayOrNone(above) {
				break
			}
		}
		if !x.open(s) {
			continue
		}
		more, err := s.page(ctx, q, after, above, limit+1)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Page{}, fmt.Errorf("search shard %s: %w", s.name, err)
		}
		rows = newest(append(rows, more...), limit+1)
	}
	p := Page{Rows: rows}
	if len(rows) > limit {
		p.Rows = rows[:limit]
		if limit > 0 {
			p.Next = Cursor(rows[limit-1].ID)
		}
	}
	return p, x.whole(nil)
}

// pageSize is how many rows an iteration reads at a time.
const pageSize = 500

// Messages yields every match, newest first, until the context ends or the
// caller stops; an error ends the sequence.
func (x *Index) Messages(ctx context.Context, q Query) iter.Seq2[mail.Message, error] {
	return func(yield func(mail.Message, error) bool) {
		for after := Cursor(""); ; {
			p, err := x.Page(ctx, q, after, pageSize)
			if err != nil {
				yield(mail.Message{}, err)
				return
			}
			for _, m := range p.Rows {
				if !yield(m, nil) {
					return
				}
			}
			if after = p.Next; after == "" {
				return
			}
		}
	}
}
