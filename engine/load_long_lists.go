package engine

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A YAML library makes a node for every member of a group, which takes seconds
// for a million. So a long list of plain words behind "members:" is cut out of
// the text before it is parsed, and a placeholder is left in its place. That is
// safe because each placeholder must turn up as a member of a group; when one
// does not (the list stood in a comment or in the text of a description) the
// file is read again as it is.

const (
	longFile    = 1 << 18             // bytes; below it nothing is cut out
	longList    = 1000                // members
	placeholder = "~mailwhy-members-" // no member can look like this
)

// wordList is a list of plain words as it stands in the file, from a line on.
type wordList struct {
	text string
	line int
}

// each yields the words with their lines. Between words stand only white
// space, commas and the dashes of a block list.
func (w wordList) each(yield func(line int, word string) bool) {
	line := w.line
	for i := 0; i < len(w.text); {
		switch c := w.text[i]; {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == ',' || c == '-' || c == '\r':
			i++
		default:
			end := i
			for end < len(w.text) && plainByte(w.text[end]) {
				end++
			}
			if !yield(line, w.text[i:end]) {
				return
			}
			i = end
		}
	}
}

// plainByte reports whether a byte is an ordinary part of a domain or address
// and means nothing to YAML inside a word.
func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '@' || c == '_' || c == '+' || c == '-'
}

// listOf returns the list that a placeholder stands for.
func (l *loader) listOf(n *yaml.Node) (wordList, bool) {
	number, ok := strings.CutPrefix(n.Value, placeholder)
	i, err := strconv.Atoi(number)
	if !ok || err != nil || i < 0 || i >= len(l.lists) || l.lists[i].line != n.Line {
		return wordList{}, false
	}
	l.found++
	return l.lists[i], true
}

// cutLongLists replaces the long lists in a text by placeholders, keeping the
// number of lines.
func cutLongLists(data []byte) (text []byte, lists []wordList) {
	if len(data) < longFile || bytes.Contains(data, []byte(placeholder)) {
		return data, nil
	}
	var out bytes.Buffer
	rest, line := data, 1
	for {
		i := bytes.Index(rest, []byte("members:"))
		if i < 0 {
			break
		}
		i += len("members:")
		line += bytes.Count(rest[:i], []byte("\n"))
		out.Write(rest[:i])
		rest = rest[i:]
		lead, list := flowList(rest)
		if lead == 0 {
			lead, list = itemList(rest)
		}
		if lead == 0 {
			continue
		}
		out.Write(rest[:lead])
		line += bytes.Count(rest[:lead], []byte("\n"))
		fmt.Fprintf(&out, "%s%d", placeholder, len(lists))
		lists = append(lists, wordList{text: string(rest[lead:list]), line: line})
		lines := bytes.Count(rest[lead:list], []byte("\n"))
		out.WriteString(strings.Repeat("\n", lines))
		line += lines
		rest = rest[list:]
	}
	if lists == nil {
		return data, nil
	}
	out.Write(rest)
	return out.Bytes(), lists
}

// flowList finds "[a, b, c]": the words go from lead to end. lead is 0 when
// there is no such list, or a short one.
func flowList(s []byte) (lead, end int) {
	i := blanks(s, 0)
	if i == len(s) || s[i] != '[' {
		return 0, 0
	}
	lead = i + 1
	for words := 0; ; {
		for i++; i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r'); {
			i++
		}
		first := i
		for i < len(s) && plainByte(s[i]) {
			i++
		}
		if i == first || s[first] == '-' {
			return 0, 0
		}
		words++
		for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r') {
			i++
		}
		switch {
		case i < len(s) && s[i] == ',':
		case i < len(s) && s[i] == ']' && words >= longList:
			return lead, i
		default:
			return 0, 0
		}
	}
}

// itemList finds lines "- word" of one indentation; lead lies behind the
// first dash.
func itemList(s []byte) (lead, end int) {
	i := blanks(s, 0)
	if i < len(s) && s[i] == '\r' {
		i++
	}
	if i == len(s) || s[i] != '\n' {
		return 0, 0
	}
	indent, words := -1, 0
	for next := i + 1; ; words++ {
		dash := blanks(s, next)
		word := dash + 2
		if indent >= 0 && dash-next != indent || word >= len(s) || s[dash] != '-' || s[dash+1] != ' ' || s[word] == '-' || !plainByte(s[word]) {
			break
		}
		stop := word
		for stop < len(s) && plainByte(s[stop]) {
			stop++
		}
		after := blanks(s, stop)
		if after < len(s) && s[after] == '\r' {
			after++
		}
		if after < len(s) && s[after] != '\n' {
			break
		}
		if indent < 0 {
			indent, lead = dash-next, word
		}
		end, next = stop, after+1
	}
	if words < longList {
		return 0, 0
	}
	return lead, end
}

func blanks(s []byte, i int) int {
	for i < len(s) && s[i] == ' ' {
		i++
	}
	return i
}
