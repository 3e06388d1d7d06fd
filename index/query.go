package index

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Query is a parsed query line.
type Query struct {
	Text         string
	Terms        []Term
	Since, Until time.Time // matches lie in [Since, Until); zero = open
	SinceDefault bool      // no since: was written, so the last 7 days are meant

	asked time.Time
}

// Term is one condition; Field "" is a bare word.
type Term struct {
	Field string
	Value string // folded
	Not   bool

	pos    int      // where it was written
	fields []string // veiled: the only fields looked into; nil = those of Field
	whole  bool     // veiled: a value must be equal, not hold it
}

// ByID finds the messages that a log knows by an id, whole: a message id with or
// without its brackets, a queue id, a gateway's code, a token.
func ByID(id string) Query {
	return Query{Text: "mid:" + id, Terms: []Term{{Field: "mid", Value: fold(strings.Trim(id, "<>"))}}}
}

// QueryError is a term that cannot be understood, at a byte position.
type QueryError struct {
	Pos      int
	Sentence string
}

// Error gives the sentence with its position, counted from 1.
func (e *QueryError) Error() string { return fmt.Sprintf("position %d: %s", e.Pos+1, e.Sentence) }

// DefaultSince is how far back a query without since: looks.
const DefaultSince = 7 * 24 * time.Hour

// exactFields are compared whole; the others by any fragment.
var exactFields = map[string]string{"is": fieldOutcome, "code": fieldCode, "qid": fieldID, "mid": fieldID, "ip": fieldIP, "gw": fieldGateway, "cause": fieldCause}

var fragmentFieldOf = map[string]string{"from": fieldSender, "to": fieldRecipient, "host": fieldHost, "reason": fieldReason, "rule": fieldRule, "subject": fieldSubject}

var outcomes = []string{"rejected", "deferred", "bounced", "held", "expired", "delivered", "discarded", "accepted"}

// ParseQuery reads the query line of the search box and of `search`. now and
// loc decide relative times and at:; without a since: the last 7 days are meant.
func ParseQuery(text string, now time.Time, loc *time.Location) (Query, error) {
	if loc == nil {
		loc = time.UTC
	}
	q := Query{Text: text, asked: now}
	words, err := splitWords(text)
	if err != nil {
		return Query{}, err
	}
	sinceSeen := false
	for _, w := range words {
		field, value, hasField := strings.Cut(w.text, ":")
		field = strings.ToLower(field)
		if w.quoted || !hasField || !knownField(field) {
			if hasField && !w.quoted && wordLike(field) && value != "" && !strings.ContainsAny(w.text, "@.<[") {
				return Query{}, &QueryError{Pos: w.pos, Sentence: fmt.Sprintf("unknown field %q: use from to ip host code reason rule subject qid mid gw is since until at, or quote the word", field)}
			}
			if err := q.addTerm("", w.text, w); err != nil {
				return Query{}, err
			}
			continue
		}
		if value == "" {
			return Query{}, &QueryError{Pos: w.pos, Sentence: field + ": needs a value"}
		}
		switch field {
		case "since", "until", "at":
			if w.not {
				return Query{}, &QueryError{Pos: w.pos, Sentence: field + ": cannot be negated"}
			}
			sinceSeen = sinceSeen || field != "until"
			if err := q.setTime(field, value, w.pos, now, loc); err != nil {
				return Query{}, err
			}
		case "is":
			value = strings.ToLower(value)
			if !slices.Contains(outcomes, value) {
				return Query{}, &QueryError{Pos: w.pos, Sentence: fmt.Sprintf("is:%s is not known: use %s", value, strings.Join(outcomes, " "))}
			}
			q.Terms = append(q.Terms, Term{Field: field, Value: value, Not: w.not, pos: w.pos})
		case "cause":
			value, err := causeKey(value)
			if err != nil {
				return Query{}, &QueryError{Pos: w.pos, Sentence: "cause: takes a group as `mailwhy causes --json` writes it"}
			}
			q.Terms = append(q.Terms, Term{Field: field, Value: value, Not: w.not, pos: w.pos})
		default:
			if err := q.addTerm(field, value, w); err != nil {
				return Query{}, err
			}
		}
	}
	if !sinceSeen {
		q.SinceDefault = true
		q.Since = now.Add(-DefaultSince)
	}
	return q, nil
}

func knownField(field string) bool {
	_, exact := exactFields[field]
	_, fragment := fragmentFieldOf[field]
	return exact || fragment || field == "since" || field == "until" || field == "at"
}

func wordLike(s string) bool {
	for _, r := range s {
		if r < 'a' || r > 'z' {
			return false
		}
	}
	return s != ""
}

// foldValue brings a value to the form its field is indexed in.
func foldValue(field, value string) string {
	switch field {
	case "", "from", "to":
		if p := mail.Path(value); p.Domain() != "" {
			value = string(p.Fold())
		} else if !isASCII(value) && !strings.Contains(value, " ") && strings.Contains(value, ".") {
			value = mail.FoldDomain(value)
		}
	}
	return fold(value)
}

func isASCII(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0 }

type word struct {
	text        string
	pos         int
	not, quoted bool
}

// addTerm adds a word in the form that its field is indexed in.
func (q *Query) addTerm(field, value string, w word) error {
	value = foldValue(field, value)
	if value == "" {
		return errEmptyWord(w.pos)
	}
	q.Terms = append(q.Terms, Term{Field: field, Value: value, Not: w.not, pos: w.pos})
	return nil
}

func errEmptyWord(pos int) error {
	return &QueryError{Pos: pos, Sentence: "an empty word finds nothing"}
}

// splitWords cuts at spaces; quotes group, - and ! negate.
func splitWords(text string) ([]word, error) {
	var words []word
	for i := 0; i < len(text); {
		if text[i] == ' ' || text[i] == '\t' {
			i++
			continue
		}
		w := word{pos: i}
		if (text[i] == '-' || text[i] == '!') && i+1 < len(text) && text[i+1] != ' ' {
			w.not = true
			i++
		}
		var b strings.Builder
		for i < len(text) && text[i] != ' ' && text[i] != '\t' {
			if text[i] != '"' {
				b.WriteByte(text[i])
				i++
				continue
			}
			end := strings.IndexByte(text[i+1:], '"')
			if end < 0 {
				return nil, &QueryError{Pos: i, Sentence: "a quote is not closed"}
			}
			w.quoted = w.quoted || b.Len() == 0
			b.WriteString(text[i+1 : i+1+end])
			i += end + 2
		}
		if w.text = b.String(); w.text == "" {
			return nil, errEmptyWord(w.pos)
		}
		words = append(words, w)
	}
	return words, nil
}

// setTime reads since:, until: and at:.
func (q *Query) setTime(field, value string, pos int, now time.Time, loc *time.Location) error {
	if field == "at" {
		clock, err := time.ParseInLocation("15:04", value, loc)
		if err != nil {
			return &QueryError{Pos: pos, Sentence: "at: takes a time of day such as at:09:14"}
		}
		local := now.In(loc)
		start := time.Date(local.Year(), local.Month(), local.Day(), clock.Hour(), clock.Minute(), 0, 0, loc)
		if start.After(now) {
			start = start.AddDate(0, 0, -1)
		}
		q.Since, q.Until = start, start.Add(time.Minute)
		return nil
	}
	if field == "since" && strings.EqualFold(value, "all") {
		q.Since = time.Time{}
		return nil
	}
	start, end, ok := timeSpan(value, now, loc)
	if !ok {
		return &QueryError{Pos: pos, Sentence: field + ": takes 2d, 3h, 30m, 1w, a day such as 2026-11-23, or a time such as 2026-11-23T10:00:00Z"}
	}
	if field == "since" {
		q.Since = start
	} else {
		q.Until = end
	}
	return nil
}

// timeSpan reads a point of time as the span it names: a day is 24 hours, an
// instant a millisecond.
func timeSpan(value string, now time.Time, loc *time.Location) (start, end time.Time, ok bool) {
	if day, err := time.ParseInLocation(time.DateOnly, value, loc); err == nil {
		return day, day.AddDate(0, 0, 1), true
	}
	if at, err := time.Parse(time.RFC3339, strings.ToUpper(value)); err == nil {
		return at, at.Add(time.Second), true
	}
	if at, err := time.ParseInLocation("2006-01-02T15:04", strings.ToUpper(value), loc); err == nil {
		return at, at.Add(time.Minute), true
	}
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unit, known := units[value[len(value)-1]]
	n, err := strconv.Atoi(value[:len(value)-1])
	if !known || err != nil || n < 0 || n > 100_000 {
		return time.Time{}, time.Time{}, false
	}
	at := now.Add(-time.Duration(n) * unit)
	return at, at.Add(time.Millisecond), true
}

func (q Query) inTime(at time.Time) bool {
	return (q.Since.IsZero() || !at.Before(q.Since)) && (q.Until.IsZero() || at.Before(q.Until))
}

// covers reports whether every message of a day (UTC) is inside the query's time.
func (q Query) covers(day string) bool {
	start, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return false
	}
	return q.inTime(start) && (q.Until.IsZero() || !start.AddDate(0, 0, 1).After(q.Until))
}
