package index

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/blevesearch/bleve/v2"
	_ "github.com/blevesearch/bleve/v2/analysis/analyzer/keyword" // bleve panics on open without it
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"mailwhy/engine/mail"
)

// live is the layer of messages that arrive: an index of bleve, and in memory
// the distinct values of its fields, which fragments are looked for in.
type live struct {
	day       string // of the shard
	bleve     bleve.Index
	unwritten unwritten

	mu     sync.RWMutex
	values map[string]*values  // by field, read on first use
	clock  map[string]int      // documents by stretch of time, read on first use
	hidden map[string]struct{} // ids
}

// boltTimeout bounds the wait for another process that has the layer open.
const boltTimeout = "2s"

// openLive opens a layer that makeLive made.
func openLive(path, day string) (layer, error) {
	b, err := bleve.OpenUsing(path, runtimeOptions())
	if err != nil {
		return nil, err
	}
	return &live{day: day, bleve: b, values: map[string]*values{}, hidden: map[string]struct{}{}}, nil
}

func (l *live) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	return errors.Join(l.unwritten.wait(ctx), l.bleve.Close())
}

// put adds or replaces messages; they are found when it returns.
func (l *live) put(_ context.Context, messages []mail.Message) error {
	batch := l.bleve.NewBatch()
	all := make([]map[string][]string, len(messages))
	for i := range messages {
		m := &messages[i]
		at, err := timeOf(m.ID)
		if err != nil {
			return err
		}
		all[i] = fieldsOf(m)
		all[i][fieldClock] = clockTerms(at)
		d, err := newDocument(m, all[i])
		if err != nil {
			return err
		}
		if err := batch.IndexAdvanced(d); err != nil {
			return fmt.Errorf("add message %s: %w", m.ID, err)
		}
	}
	written := l.unwritten.add()
	batch.SetPersistedCallback(func(error) { written() }) // called when it was written; a failed try is repeated
	if err := l.bleve.Batch(batch); err != nil {
		written()
		return err
	}
	l.learn(all) // after it, for what is read on first use must not miss a document
	return nil
}

// learn adds the values of new documents to those read already.
func (l *live) learn(all []map[string][]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fields := range all {
		for field, texts := range fields {
			if v := l.values[field]; v != nil {
				v.add(texts...)
			}
		}
		if l.clock != nil {
			for _, term := range fields[fieldClock] {
				l.clock[term]++
			}
		}
	}
}

// read gives a snapshot of the layer.
func (l *live) read() (bleveindex.IndexReader, error) {
	inner, err := l.bleve.Advanced()
	if err != nil {
		return nil, err
	}
	return inner.Reader()
}

func (l *live) standing(ids []string) ([]string, error) {
	reader, err := l.read()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	found, err := reader.DocIDReaderOnly(slices.Clone(ids))
	if err != nil {
		return nil, err
	}
	list, err := idsOf(reader, found)
	slices.Sort(list)
	return list, err
}

// idsOf reads a list of documents to its end.
func idsOf(reader bleveindex.IndexReader, documents bleveindex.DocIDReader) ([]string, error) {
	defer documents.Close()
	var ids []string
	for {
		internal, err := documents.Next()
		if err != nil || internal == nil {
			return ids, err
		}
		id, err := reader.ExternalID(internal)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
}

func (l *live) hide(ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	hidden := maps.Clone(l.hidden)
	for _, id := range ids {
		hidden[id] = struct{}{}
	}
	l.hidden = hidden
	return nil
}

func (l *live) hiddenNow() map[string]struct{} {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.hidden
}

func (l *live) count() (int, error) {
	n, err := l.bleve.DocCount()
	return int(n) - len(l.hiddenNow()), err
}

// ids lists every id, ascending, of hidden messages too.
func (l *live) ids() ([]string, error) {
	reader, err := l.read()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return sortedIDs(reader)
}

func sortedIDs(reader bleveindex.IndexReader) ([]string, error) {
	all, err := reader.DocIDReaderAll()
	if err != nil {
		return nil, err
	}
	ids, err := idsOf(reader, all)
	slices.Sort(ids)
	return ids, err
}

func (l *live) documents(ctx context.Context, all bool, yield func(id string, row []byte) error) error {
	reader, err := l.read()
	if err != nil {
		return err
	}
	defer reader.Close()
	ids, err := sortedIDs(reader)
	if err != nil {
		return err
	}
	hidden := l.hiddenNow()
	for _, id := range ids {
		if _, over := hidden[id]; over && !all {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := storedRow(reader, id)
		if err != nil {
			return err
		}
		if err := yield(id, row); err != nil {
			return err
		}
	}
	return nil
}

func storedRow(reader bleveindex.IndexReader, id string) ([]byte, error) {
	d, err := reader.Document(id)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, ErrNotFound
	}
	var row []byte
	d.VisitFields(func(f bleveindex.Field) {
		if f.Name() == fieldMessage {
			row = f.Value()
		}
	})
	return row, nil
}

func (l *live) get(_ context.Context, id string) (mail.Message, error) {
	reader, err := l.read()
	if err != nil {
		return mail.Message{}, err
	}
	defer reader.Close()
	row, err := storedRow(reader, id)
	if err != nil {
		return mail.Message{}, err
	}
	return decode(id, row)
}

// broad is how many matches a layer may have and still be sorted whole: bleve
// reads the id of every match to sort it.
const broad = 400

// page walks a broad answer from the newest messages on, so that its cost is
// that of a page.
func (l *live) page(ctx context.Context, q Query, below Cursor, limit int) ([]mail.Message, error) {
	expanded, leftOut, err := l.expand(ctx, q)
	if err != nil || expanded == nil {
		return nil, err
	}
	few, err := l.fewer(ctx, expanded, broad)
	if err != nil {
		return nil, err
	}
	if few {
		return l.slice(ctx, holding(leftOut, expanded), q, below, limit)
	}
	walk, err := l.walk(q, below)
	if err != nil {
		return nil, err
	}
	var rows []mail.Message
	for terms := range walk {
		part := bleve.NewConjunctionQuery(&termsQuery{field: fieldClock, terms: terms}, expanded)
		more, err := l.slice(ctx, holding(leftOut, part), q, below, limit-len(rows))
		if err != nil {
			return nil, err
		}
		if rows = append(rows, more...); len(rows) >= limit {
			break
		}
	}
	return rows, nil
}

// slice pages through one bleve query until it has the rows asked for.
func (l *live) slice(ctx context.Context, expanded query.Query, q Query, below Cursor, limit int) ([]mail.Message, error) {
	var rows []mail.Message
	hidden := l.hiddenNow()
	for {
		request := bleve.NewSearchRequestOptions(expanded, limit, 0, false)
		if below != "" {
			request.SearchAfter = []string{string(below)}
		}
		found, err := l.search(ctx, request)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if _, over := hidden[found[i].ID]; !over && q.inTime(found[i].Time) {
				rows = append(rows, found[i])
			}
		}
		if len(found) < limit || len(rows) >= limit || !q.Since.IsZero() && found[len(found)-1].Time.Before(q.Since) {
			return rows[:min(limit, len(rows))], nil
		}
		below = Cursor(found[len(found)-1].ID)
	}
}

// search runs a request newest first and decodes the stored messages.
func (l *live) search(ctx context.Context, request *bleve.SearchRequest) ([]mail.Message, error) {
	request.Sort = search.SortOrder{&search.SortDocID{Desc: true}}
	request.Fields = []string{fieldMessage}
	request.Score = "none"
	result, err := l.bleve.SearchInContext(ctx, request)
	if err != nil {
		return nil, err
	}
	rows := make([]mail.Message, 0, len(result.Hits))
	for _, hit := range result.Hits {
		text, _ := hit.Fields[fieldMessage].(string)
		m, err := decode(hit.ID, []byte(text))
		if err != nil {
			return nil, err
		}
		rows = append(rows, m)
	}
	return rows, nil
}
