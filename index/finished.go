package index

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bits-and-blooms/bitset"

	"mailwhy/engine/mail"
	"mailwhy/index/sealed"
)

// finished is the layer of messages that no longer change.
type finished struct {
	segment *sealed.Segment
	path    string

	mu     sync.RWMutex
	hidden *bitset.BitSet // by ordinal, replaced as a whole; nil = none
}

// sealedFields are what a sealed layer is searched and counted by.
var sealedFields = []sealed.Field{
	{Name: fieldSender, Fragments: true}, {Name: fieldRecipient, Fragments: true}, {Name: fieldHost, Fragments: true},
	{Name: fieldSubject, Fragments: true}, {Name: fieldReason, Fragments: true}, {Name: fieldRule, Fragments: true},
	{Name: fieldOutcome}, {Name: fieldCode}, {Name: fieldGateway}, {Name: fieldIP}, {Name: fieldCause},
}

func openFinished(path string) (layer, error) {
	segment, err := sealed.Open(path)
	if err != nil {
		return nil, err
	}
	return &finished{segment: segment, path: path}, nil
}

func (f *finished) close() error { return f.segment.Close() }

func (f *finished) count() (int, error) {
	n := f.segment.Len()
	if hidden := f.hiddenNow(); hidden != nil {
		n -= int(hidden.Count())
	}
	return n, nil
}

func (f *finished) hiddenNow() *bitset.BitSet {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.hidden
}

func (f *finished) find(id string) (int, bool, error) {
	at, err := timeOf(id)
	if err != nil {
		return 0, false, nil
	}
	return f.segment.Find(id, at.UnixMilli())
}

func (f *finished) standing(ids []string) ([]string, error) {
	var list []string
	for _, id := range ids {
		if id < f.segment.First() || id > f.segment.Last() {
			continue
		}
		_, found, err := f.find(id)
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, id)
		}
	}
	return list, nil
}

func (f *finished) hide(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	hidden := bitset.New(uint(f.segment.Len()))
	if f.hidden != nil {
		hidden = f.hidden.Clone()
	}
	for _, id := range ids {
		ordinal, found, err := f.find(id)
		if err != nil {
			return err
		}
		if found {
			hidden.Set(uint(ordinal))
		}
	}
	f.hidden = hidden
	return nil
}

func (f *finished) documents(ctx context.Context, all bool, yield func(id string, row []byte) error) error {
	hidden := f.hiddenNow()
	var err error
	ordinal := uint(0)
	for id, row := range f.segment.Rows(&err) {
		if all || hidden == nil || !hidden.Test(ordinal) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := yield(id, row); err != nil {
				return err
			}
		}
		ordinal++
	}
	return err
}

func (f *finished) get(_ context.Context, id string) (mail.Message, error) {
	ordinal, found, err := f.find(id)
	if err != nil {
		return mail.Message{}, err
	}
	if !found {
		return mail.Message{}, ErrNotFound
	}
	return message(f.segment.Reader(), ordinal)
}

func message(r *sealed.Reader, ordinal int) (mail.Message, error) {
	id, row, err := r.Row(ordinal)
	if err != nil {
		return mail.Message{}, err
	}
	return decode(id, row)
}

// decode reads a message as its row has it.
func decode(id string, row []byte) (m mail.Message, err error) {
	if err := json.Unmarshal(row, &m); err != nil {
		return mail.Message{}, fmt.Errorf("decode message %s: %w", id, err)
	}
	return m, nil
}

// match gives the matches below the cursor; nil when there are none.
func (f *finished) match(ctx context.Context, q Query, below Cursor) (*bitset.BitSet, error) {
	within := sealed.Span{From: 0, To: f.segment.Len()}
	if !q.Since.IsZero() || !q.Until.IsZero() {
		until := int64(1) << 62
		if !q.Until.IsZero() {
			until = firstMilli(q.Until)
		}
		within = f.segment.Between(firstMilli(q.Since), until)
	}
	if below != "" {
		at, err := timeOf(string(below))
		if err != nil {
			return nil, err
		}
		ordinal, _, err := f.segment.Find(string(below), at.UnixMilli())
		if err != nil {
			return nil, err
		}
		within.To = min(within.To, ordinal)
	}
	set, err := f.segment.Match(ctx, within, conditions(q))
	if hidden := f.hiddenNow(); err == nil && set != nil && hidden != nil {
		set.InPlaceDifference(hidden)
	}
	return set, err
}

// firstMilli is the first millisecond that is not before a time; the zero
// time is before all.
func firstMilli(at time.Time) int64 {
	if at.IsZero() {
		return -1 << 62
	}
	ms := at.UnixMilli()
	if time.UnixMilli(ms).Before(at) {
		ms++
	}
	return ms
}

func (f *finished) page(ctx context.Context, q Query, below Cursor, limit int) ([]mail.Message, error) {
	set, err := f.match(ctx, q, below)
	if err != nil || set == nil {
		return nil, err
	}
	rows := make([]mail.Message, 0, min(limit, int(set.Count())))
	reader := f.segment.Reader()
	for at, ok := set.PreviousSet(uint(f.segment.Len())); ok && len(rows) < limit; at, ok = set.PreviousSet(at - 1) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := message(reader, int(at))
		if err != nil {
			return nil, err
		}
		rows = append(rows, m)
		if at == 0 {
			break
		}
	}
	return rows, nil
}

// conditions says a query line in the words of a sealed layer.
func conditions(q Query) []sealed.Condition {
	var list []sealed.Condition
	for _, t := range q.Terms {
		c := sealed.Condition{Not: t.Not}
		field, exact := exactFields[t.Field]
		switch {
		case exact && field == fieldID:
			c.Any = append(c.Any, keyLookup(t.Value)...)
		case exact:
			c.Any = append(c.Any, sealed.Lookup{Field: field, Text: t.Value, Whole: true})
		default:
			for _, field := range t.searched() {
				c.Any = append(c.Any, sealed.Lookup{Field: field, Text: t.Value, Whole: t.whole})
			}
			if t.Field == "" {
				c.Any = append(c.Any, keyLookup(t.Value)...)
			}
		}
		list = append(list, c)
	}
	return list
}

// keyLookup finds an id of a message: its own, or one of its keys.
func keyLookup(value string) []sealed.Lookup {
	has := func(id string, row []byte) bool {
		m, err := decode(id, row)
		return err == nil && slices.Contains(fieldsOf(&m)[fieldID], value)
	}
	lookups := []sealed.Lookup{{Key: true, Text: bare(value), Confirm: has}}
	if at, err := timeOf(value); err == nil {
		lookups = append(lookups, sealed.Lookup{ID: true, Text: value, At: at.UnixMilli()})
	}
	return lookups
}

// bare is a message id without its brackets, as keys are kept.
func bare(id string) string { return strings.Trim(id, "<>") }

// keysOf lists what a message is found by besides its own id.
func keysOf(m *mail.Message, fields map[string][]string) []string {
	var keys []string
	own := fold(m.ID)
	for _, id := range fields[fieldID] {
		if id != own {
			keys = append(keys, bare(id))
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// sealedDocument is a message as a sealed layer takes it; row is its JSON.
func sealedDocument(m *mail.Message, row []byte) (sealed.Document, error) {
	at, err := timeOf(m.ID)
	if err != nil {
		return sealed.Document{}, err
	}
	fields := fieldsOf(m)
	keys := keysOf(m, fields)
	delete(fields, fieldID)
	return sealed.Document{ID: m.ID, Time: at.UnixMilli(), Row: row, Values: fields, Keys: keys}, nil
}
