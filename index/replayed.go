package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"mailwhy/engine/mail"
	"mailwhy/index/facts"
)

// errStopped ends what yields when nobody wants more.
var errStopped = errors.New("stopped")

// Replayed yields every match, in any order, as far as a replay of the policies
// looks at it: without its lines, message id, queue id and source. It does so
// in parts that can be read at once, each match in one of them; a part that is
// not read leaves its share to the others. Whatever is being written meanwhile
// may be in or out. An error ends a part.
func (x *Index) Replayed(ctx context.Context, q Query, parts int) []iter.Seq2[mail.Message, error] {
	shards := x.newestFirst(q)
	next := new(atomic.Int64)
	part := func(yield func(mail.Message, error) bool) {
		for i := next.Add(1) - 1; int(i) < len(shards); i = next.Add(1) - 1 {
			err := x.replayedShard(ctx, shards[i], q, func(m mail.Message) error {
				if !yield(m, nil) {
					return errStopped
				}
				return nil
			})
			if errors.Is(err, errStopped) {
				return
			}
			if err != nil {
				yield(mail.Message{}, err)
				return
			}
		}
	}
	list := make([]iter.Seq2[mail.Message, error], parts)
	for i := range list {
		list[i] = part
	}
	return list
}

func (x *Index) replayedShard(ctx context.Context, s *shard, q Query, yield func(mail.Message) error) error {
	leave, err := admit(ctx, x.counting)
	if err != nil {
		return err
	}
	defer leave()
	if !x.open(s) {
		return nil
	}
	layers, release, err := s.use()
	if errors.Is(err, ErrNotFound) { // removed meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("replay shard %s: %w", s.name, err)
	}
	defer release()
	for _, h := range layers {
		if err := h.replayed(ctx, q, yield); err != nil {
			return fmt.Errorf("replay shard %s: %w", s.name, err)
		}
	}
	return nil
}

// replayed reads the facts that lie beside the layer; where there are none, or
// damaged ones, the rows say the same, slower.
func (f *finished) replayed(ctx context.Context, q Query, yield func(mail.Message) error) error {
	set, err := f.match(ctx, q, "")
	if err != nil || set == nil {
		return err
	}
	columns := f.facts(int(set.Count()))
	reader := f.segment.Reader()
	n := 0
	for at, ok := set.NextSet(0); ok; at, ok = set.NextSet(at + 1) {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		var m mail.Message
		if columns != nil {
			columns.Message(int(at), &m)
		} else if m, err = message(reader, int(at)); err != nil {
			return err
		}
		if err := yield(m); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// fewRows is how many rows are read sooner than all facts of a layer.
const fewRows = 500

// facts gives what lies beside the layer; nil when rows will do.
func (f *finished) facts(matches int) *facts.Columns {
	if matches < fewRows {
		return nil
	}
	columns, err := facts.Read(f.path + factsSuffix)
	if err != nil || columns.Len() != f.segment.Len() || columns.Len() > 0 && columns.ID(columns.Len()-1) != f.segment.Last() {
		return nil
	}
	return columns
}

func (l *live) replayed(ctx context.Context, q Query, yield func(mail.Message) error) error {
	if len(q.Terms) == 0 {
		return l.documents(ctx, false, func(id string, row []byte) error {
			m, err := decode(id, row)
			if err != nil || !q.inTime(m.Time) {
				return err
			}
			return yield(m)
		})
	}
	for below := Cursor(""); ; {
		rows, err := l.page(ctx, q, below, pageSize)
		if err != nil {
			return err
		}
		for _, m := range rows {
			if err := yield(m); err != nil {
				return err
			}
		}
		if len(rows) < pageSize {
			return nil
		}
		below = Cursor(rows[len(rows)-1].ID)
	}
}
