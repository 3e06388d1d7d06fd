package logparse

import (
	"encoding/json"
	"fmt"
	"strings"
)

// csvHeads are the column names that the newest header row of each source
// gave, which its rows are read by.
type csvHeads map[string][]string

func (h csvHeads) save() ([]byte, error) {
	if len(h) == 0 {
		return nil, nil
	}
	return json.Marshal(h)
}

func (h *csvHeads) load(data []byte) error {
	if err := json.Unmarshal(data, h); err != nil {
		return fmt.Errorf("decode header rows: %w", err)
	}
	return nil
}

// csvRow is one row by column name.
type csvRow struct {
	columns []string
	fields  []string
}

// get returns a column's value, of the first of names that the row has.
func (r csvRow) get(names ...string) string {
	for _, name := range names {
		for i, column := range r.columns {
			if column == name && i < len(r.fields) && r.fields[i] != "" {
				return r.fields[i]
			}
		}
	}
	return ""
}

// maxColumns is more than any of these logs has.
const maxColumns = 200

// csvFields splits a row (RFC 4180) that ends with its line. A quote that is
// not closed ends there too.
func csvFields(s string) []string {
	var fields []string
	for len(fields) < maxColumns {
		if !strings.HasPrefix(s, `"`) {
			field, rest, more := strings.Cut(s, ",")
			fields = append(fields, field)
			if !more {
				return fields
			}
			s = rest
			continue
		}
		field, rest := csvQuoted(s[1:])
		fields = append(fields, field)
		if rest == "" {
			return fields
		}
		s = rest[1:]
	}
	return fields
}

// csvQuoted reads a quoted field behind its first quote; rest starts with the
// comma behind it.
func csvQuoted(s string) (field, rest string) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '"')
		if i < 0 {
			b.WriteString(s)
			return b.String(), ""
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		switch {
		case strings.HasPrefix(s, `"`):
			b.WriteByte('"')
			s = s[1:]
		case s == "" || s[0] == ',':
			return b.String(), s
		default: // a quote inside of a field that nobody doubled
			b.WriteByte('"')
		}
	}
}

// csvName is a column's name without what exports vary in: case, spaces,
// hyphens and underscores.
func csvName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, s)
}

// csvNames are the column names of a header row.
func csvNames(row string) []string {
	names := csvFields(row)
	for i := range names {
		names[i] = csvName(names[i])
	}
	return names
}

// hasAll reports whether a header row has every one of names.
func hasAll(columns []string, names ...string) bool {
	for _, name := range names {
		found := false
		for _, c := range columns {
			found = found || c == name
		}
		if !found {
			return false
		}
	}
	return true
}
