package index

import "time"

// Query is a parsed query line.
type Query struct {
	Text         string
	Since, Until time.Time // Until is inclusive of the span it names; zero = open
}

// QueryError is a term that cannot be understood, at a byte position.
type QueryError struct {
	Pos      int
	Sentence string
}

// Error gives the sentence with its position, counted from 1.
func (e *QueryError) Error() string { return e.Sentence }

// ParseQuery reads the query line of the search box and of `search`. now and
// loc decide relative times and at:; without a since: the last 7 days are meant.
func ParseQuery(text string, now time.Time, loc *time.Location) (Query, error) { return Query{}, nil }
