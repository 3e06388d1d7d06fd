package index

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"mailwhy/engine/mail"
)

// Put adds or replaces messages by ID. They can be found when it returns; those
// of days past retention are passed over.
func (x *Index) Put(ctx context.Context, messages []mail.Message) error {
	if len(messages) == 0 {
		return nil
	}
	x.writing.RLock()
	defer x.writing.RUnlock()
	if x.shut.Load() {
		return ErrClosed
	}
	oldest := x.oldestDay()
	byDay := map[string][]mail.Message{}
	for _, m := range messages {
		day, err := dayOf(m.ID)
		if err != nil {
			return err
		}
		if day >= oldest {
			byDay[day] = append(byDay[day], m)
		}
	}
	batches, err := x.placeAll(byDay)
	if err != nil {
		return err
	}
	for s, batch := range batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.store(ctx, batch, x.now()); err != nil {
			return fmt.Errorf("write shard %s: %w", s.name, err)
		}
	}
	x.mu.Lock()
	close(x.changed)
	x.changed = make(chan struct{})
	x.mu.Unlock()
	return nil
}

func (x *Index) placeAll(byDay map[string][]mail.Message) (map[*shard][]mail.Message, error) {
	x.placing.Lock()
	defer x.placing.Unlock()
	batches := map[*shard][]mail.Message{}
	for day, ofDay := range byDay {
		if err := x.place(day, ofDay, batches); err != nil {
			return nil, err
		}
	}
	return batches, nil
}

// place deals a day's messages to its shards: one seen before goes where it
// stands, a new one to the newest part that has room.
func (x *Index) place(day string, messages []mail.Message, batches map[*shard][]mail.Message) error {
	parts := x.partsOf(day)
	parts = slices.DeleteFunc(parts, func(s *shard) bool { return !x.open(s) })
	var last *shard
	room := 0
	if len(parts) > 0 {
		last = parts[len(parts)-1]
		n, err := last.count()
		if err != nil {
			return fmt.Errorf("count shard %s: %w", last.name, err)
		}
		room = x.options.ShardDocs - n
	}
	standing := map[string]*shard{}
	if len(parts) > 1 || len(parts) == 1 && room < len(messages) {
		ids := make([]string, len(messages))
		for i := range messages {
			ids[i] = messages[i].ID
		}
		slices.Sort(ids)
		for _, part := range parts {
			if err := part.holds(ids, standing); err != nil {
				return fmt.Errorf("look up ids in shard %s: %w", part.name, err)
			}
		}
	}
	for _, m := range messages {
		if s := standing[m.ID]; s != nil {
			batches[s] = append(batches[s], m)
			continue
		}
		if last == nil || room <= 0 {
			var err error
			if last != nil {
				x.sealSoon(last)
			}
			if last, err = x.addShard(fmt.Sprintf("%s.%03d", day, x.nextPart(day))); err != nil {
				return err
			}
			room = x.options.ShardDocs
		}
		room--
		standing[m.ID] = last
		batches[last] = append(batches[last], m)
	}
	return nil
}

// nextPart is the number of a day's next part.
func (x *Index) nextPart(day string) int {
	parts := x.partsOf(day)
	if len(parts) == 0 {
		return 0
	}
	n, err := strconv.Atoi(parts[len(parts)-1].name[len(day)+1:])
	if err != nil {
		return len(parts)
	}
	return n + 1
}
