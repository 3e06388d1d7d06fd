package index

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	_ "github.com/blevesearch/bleve/v2/analysis/analyzer/keyword" // bleve panics on open without it
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"

	"mailwhy/engine/mail"
	"mailwhy/index/raw"
)

// shard is one day's messages, or a part of a busy day's.
type shard struct {
	name string // 2026-11-23.000
	dir  string

	mu     sync.Mutex
	bleve  bleve.Index
	values map[string]*values // distinct values by field, read on first use
	raw    *raw.Store         // opened on first use
	sample []byte             // for the dictionary of a new raw store

	unwritten unwritten
}

func shardName(name string) bool {
	day, part, ok := strings.Cut(name, ".")
	if !ok || len(part) != 3 {
		return false
	}
	_, dayErr := time.Parse(time.DateOnly, day)
	_, partErr := strconv.Atoi(part)
	return dayErr == nil && partErr == nil
}

func (s *shard) day() string { return s.name[:len(time.DateOnly)] }

// timeOf reads the time an id begins with: 13 digits of Unix milliseconds.
func timeOf(id string) (time.Time, error) {
	if len(id) < 13 {
		return time.Time{}, fmt.Errorf("id %q does not begin with a time", id)
	}
	ms, err := strconv.ParseInt(id[:13], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("id %q does not begin with a time", id)
	}
	return time.UnixMilli(ms).UTC(), nil
}

func dayOf(id string) (string, error) {
	at, err := timeOf(id)
	return at.Format(time.DateOnly), err
}

// boltTimeout bounds the wait for another process that has the shard open.
const boltTimeout = "2s"

func (s *shard) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bleve != nil {
		return nil
	}
	if err := makeShard(s.dir); err != nil {
		return err
	}
	var err error
	s.bleve, err = bleve.OpenUsing(s.dir, runtimeOptions())
	s.values = map[string]*values{}
	return err
}

func (s *shard) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.closeLines()
	if s.bleve == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err = errors.Join(err, s.unwritten.wait(ctx), s.bleve.Close())
	s.bleve = nil
	return err
}

func (s *shard) put(messages []mail.Message) error {
	if err := s.putLines(messages); err != nil {
		return err
	}
	batch := s.bleve.NewBatch()
	fields := make([]map[string][]string, len(messages))
	for i := range messages {
		fields[i] = fieldsOf(&messages[i])
		d, err := newDocument(&messages[i], fields[i])
		if err != nil {
			return err
		}
		if err := batch.IndexAdvanced(d); err != nil {
			return fmt.Errorf("add message %s: %w", messages[i].ID, err)
		}
	}
	written := s.unwritten.add()
	batch.SetPersistedCallback(func(error) { written() }) // called when it was written; a failed try is repeated
	if err := s.bleve.Batch(batch); err != nil {
		written()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range messages {
		for field, texts := range fields[i] {
			if v := s.values[field]; v != nil {
				v.add(texts...)
			}
		}
	}
	return nil
}

// holds notes which of the messages stand in this shard.
func (s *shard) holds(messages []mail.Message, standing map[string]*shard) error {
	inner, err := s.bleve.Advanced()
	if err != nil {
		return err
	}
	reader, err := inner.Reader()
	if err != nil {
		return err
	}
	defer reader.Close()
	ids := make([]string, len(messages))
	for i := range messages {
		ids[i] = messages[i].ID
	}
	found, err := reader.DocIDReaderOnly(ids)
	if err != nil {
		return err
	}
	defer found.Close()
	for {
		internal, err := found.Next()
		if err != nil {
			return err
		}
		if internal == nil {
			return nil
		}
		id, err := reader.ExternalID(internal)
		if err != nil {
			return err
		}
		standing[id] = s
	}
}

func (s *shard) count() (uint64, error) { return s.bleve.DocCount() }

func (s *shard) get(ctx context.Context, id string) (mail.Message, error) {
	request := bleve.NewSearchRequestOptions(bleve.NewDocIDQuery([]string{id}), 1, 0, false)
	rows, err := s.search(ctx, request)
	if err == nil && len(rows) == 0 {
		return mail.Message{}, ErrNotFound
	}
	if err != nil {
		return mail.Message{}, err
	}
	return rows[0], s.fill(rows)
}

const hourForm = "15"

// broad is how many matches a shard may have and still be sorted whole: bleve
// reads the id of every match to sort it.
const broad = 400

// page returns up to limit matches below the cursor, newest first. A broad
// answer is walked hour by hour, so that its cost is that of a page.
func (s *shard) page(ctx context.Context, q Query, after Cursor, limit int) ([]mail.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	expanded, leftOut, err := s.expandUpTo(ctx, q, mostTerms)
	if err != nil || expanded == nil {
		return nil, err
	}
	count, err := s.bleve.SearchInContext(ctx, bleve.NewSearchRequestOptions(expanded, 0, 0, false))
	if err != nil {
		return nil, err
	}
	if count.Total <= broad {
		return s.slice(ctx, holding(leftOut, expanded), q, after, limit)
	}
	var rows []mail.Message
	for hour := s.lastHour(q, after); hour >= 0 && len(rows) < limit; hour-- {
		inHour := bleve.NewTermQuery(fmt.Sprintf("%02d", hour))
		inHour.SetField(fieldHour)
		more, err := s.slice(ctx, holding(leftOut, bleve.NewConjunctionQuery(inHour, expanded)), q, after, limit-len(rows))
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// lastHour is the newest hour of the shard's day that can hold a match below
// the cursor.
func (s *shard) lastHour(q Query, after Cursor) int {
	hour := 23
	if at, err := timeOf(string(after)); err == nil && at.Format(time.DateOnly) == s.day() {
		hour = at.Hour()
	}
	if until := q.Until.UTC(); !q.Until.IsZero() && until.Format(time.DateOnly) == s.day() {
		hour = min(hour, until.Hour())
	}
	return hour
}

// slice pages through one bleve query until it has the rows asked for.
func (s *shard) slice(ctx context.Context, expanded query.Query, q Query, after Cursor, limit int) ([]mail.Message, error) {
	var rows []mail.Message
	for {
		request := bleve.NewSearchRequestOptions(expanded, limit, 0, false)
		if after != "" {
			request.SearchAfter = []string{string(after)}
		}
		found, err := s.search(ctx, request)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if q.inTime(found[i].Time) {
				rows = append(rows, found[i])
			}
		}
		if len(found) < limit || len(rows) >= limit || !q.Since.IsZero() && found[len(found)-1].Time.Before(q.Since) {
			return rows[:min(limit, len(rows))], nil
		}
		after = Cursor(found[len(found)-1].ID)
	}
}

// search runs a request newest first and decodes the stored messages.
func (s *shard) search(ctx context.Context, request *bleve.SearchRequest) ([]mail.Message, error) {
	request.Sort = search.SortOrder{&search.SortDocID{Desc: true}}
	request.Fields = []string{fieldMessage}
	request.Score = "none"
	result, err := s.bleve.SearchInContext(ctx, request)
	if err != nil {
		return nil, err
	}
	rows := make([]mail.Message, 0, len(result.Hits))
	for _, hit := range result.Hits {
		text, _ := hit.Fields[fieldMessage].(string)
		var m mail.Message
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			return nil, fmt.Errorf("decode message %s: %w", hit.ID, err)
		}
		rows = append(rows, m)
	}
	return rows, nil
}

// matches counts the matches of a query in this shard.
func (s *shard) matches(ctx context.Context, q Query) (int, error) {
	if q.covers(s.day()) {
		expanded, err := s.expand(ctx, q)
		if err != nil || expanded == nil {
			return 0, err
		}
		request := bleve.NewSearchRequestOptions(expanded, 0, 0, false)
		result, err := s.bleve.SearchInContext(ctx, request)
		if err != nil {
			return 0, err
		}
		return int(result.Total), nil
	}
	n := 0
	err := s.outcomes(ctx, q, func(time.Time, mail.Outcome) { n++ })
	return n, err
}

// outcomes calls each with the time and outcome of every match.
func (s *shard) outcomes(ctx context.Context, q Query, each func(time.Time, mail.Outcome)) error {
	expanded, err := s.expand(ctx, q)
	if err != nil || expanded == nil {
		return err
	}
	for after := ""; ; {
		request := bleve.NewSearchRequestOptions(expanded, 5000, 0, false)
		request.Sort = search.SortOrder{&search.SortDocID{Desc: true}}
		request.Fields = []string{fieldMessage}
		if after != "" {
			request.SearchAfter = []string{after}
		}
		result, err := s.bleve.SearchInContext(ctx, request)
		if err != nil {
			return err
		}
		for _, hit := range result.Hits {
			at, err := timeOf(hit.ID)
			if err != nil || !q.inTime(at) {
				continue
			}
			var m struct{ Outcome mail.Outcome }
			text, _ := hit.Fields[fieldMessage].(string)
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				return fmt.Errorf("decode message %s: %w", hit.ID, err)
			}
			each(at, m.Outcome)
		}
		if len(result.Hits) < 5000 {
			return nil
		}
		after = result.Hits[len(result.Hits)-1].ID
	}
}
