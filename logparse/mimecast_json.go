package logparse

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonCursor walks over JSON text. It is lenient: a value that is cut off is
// not there, and nothing is said of what is wrong. The values of a log line
// are wanted, not its validity.
type jsonCursor struct {
	b   []byte
	pos int
}

// jsonKind is what a value is.
type jsonKind byte

const (
	jsonNone jsonKind = iota // cut off, or no value
	jsonNull
	jsonString  // the raw value is what stands between the quotes
	jsonEscaped // as jsonString, with escapes in it
	jsonBare    // number, true, false
	jsonObject
	jsonArray
)

func (c *jsonCursor) space() {
	for c.pos < len(c.b) {
		switch c.b[c.pos] {
		case ' ', '\t', '\r', '\n':
			c.pos++
		default:
			return
		}
	}
}

// take steps over ch if it is next.
func (c *jsonCursor) take(ch byte) bool {
	c.space()
	if c.pos < len(c.b) && c.b[c.pos] == ch {
		c.pos++
		return true
	}
	return false
}

// value reads the next value; raw is its text.
func (c *jsonCursor) value() (raw []byte, kind jsonKind) {
	c.space()
	if c.pos >= len(c.b) {
		return nil, jsonNone
	}
	start := c.pos
	switch c.b[c.pos] {
	case '"':
		return c.quoted()
	case '{':
		return c.nested(jsonObject)
	case '[':
		return c.nested(jsonArray)
	}
	for c.pos < len(c.b) && bytes.IndexByte([]byte(",}] \t\r\n"), c.b[c.pos]) < 0 {
		c.pos++
	}
	raw = c.b[start:c.pos]
	switch {
	case len(raw) == 0 || c.pos == len(c.b):
		return nil, jsonNone
	case string(raw) == "null":
		return nil, jsonNull
	}
	return raw, jsonBare
}

// quoted reads a string.
func (c *jsonCursor) quoted() (raw []byte, kind jsonKind) {
	kind = jsonString
	c.pos++
	start := c.pos
	for c.pos < len(c.b) {
		switch c.b[c.pos] {
		case '"':
			c.pos++
			return c.b[start : c.pos-1], kind
		case '\\':
			kind = jsonEscaped
			c.pos++
		}
		c.pos++
	}
	c.pos = len(c.b)
	return nil, jsonNone
}

// nested steps over an object or an array.
func (c *jsonCursor) nested(kind jsonKind) ([]byte, jsonKind) {
	start, depth := c.pos, 0
	for c.pos < len(c.b) {
		switch c.b[c.pos] {
		case '"':
			if _, k := c.quoted(); k == jsonNone {
				return nil, jsonNone
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		c.pos++
		if depth == 0 {
			return c.b[start:c.pos], kind
		}
	}
	return nil, jsonNone
}

// member reads the next key and value of an object whose "{" is behind.
func (c *jsonCursor) member() (key, raw []byte, kind jsonKind, ok bool) {
	c.take(',')
	c.space()
	if c.pos >= len(c.b) || c.b[c.pos] != '"' {
		return nil, nil, jsonNone, false
	}
	key, kind = c.quoted()
	if kind == jsonNone || !c.take(':') {
		return nil, nil, jsonNone, false
	}
	raw, kind = c.value()
	return key, raw, kind, kind != jsonNone
}

// readObject reads the object that starts at the cursor into e and reports
// whether there was one.
func (c *jsonCursor) readObject(e *mimeEvent) bool {
	if !c.take('{') {
		return false
	}
	for {
		key, raw, kind, ok := c.member()
		if !ok {
			break
		}
		field, known := mimeFieldOf(key)
		if !known || kind == jsonNull {
			continue
		}
		if kind == jsonEscaped {
			raw = unescapeJSON(raw)
		}
		e.set(field, raw)
	}
	if !c.take('}') {
		c.pos = len(c.b) // cut off or broken: what follows belongs to nothing
	}
	return true
}

// unescapeJSON undoes the escapes of a JSON string.
func unescapeJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			out = append(out, raw[i])
			continue
		}
		i++
		switch raw[i] {
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case 'r':
			out = append(out, '\r')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'u':
			r, n := unicodeEscape(raw[i-1:])
			out = utf8.AppendRune(out, r)
			i += n - 2
		case '"', '\\', '/':
			out = append(out, raw[i])
		default: // no escape (RFC 8259, 7): both stand in the text
			out = append(out, '\\', raw[i])
		}
	}
	return out
}

// unicodeEscape reads "\u00e4", or two of them that make a surrogate pair, and
// returns the bytes it takes.
func unicodeEscape(b []byte) (rune, int) {
	unit := func(b []byte) (rune, bool) {
		if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
			return utf8.RuneError, false
		}
		n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
		return rune(n), err == nil
	}
	r, ok := unit(b)
	if !ok {
		return utf8.RuneError, 2
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := unit(b[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}
