package publish

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// readPatterns reads a pcre: or regexp: table (pcre_table(5), regexp_table(5)).
// A line that Go's expressions do not say the same way, or that stands between
// if and endif, is kept in its place as unknown.
func (r *rulesReader) readPatterns(check *SiteCheck, table, looksAt string) {
	kind, path, _ := strings.Cut(table, ":")
	if kind != "pcre" && kind != "regexp" {
		r.note("%s: a %s: table is not read", check.Name, kind)
		return
	}
	path = r.absolute(path)
	text, err := os.ReadFile(path)
	if err != nil {
		r.note("%s: %v", check.Name, err)
		return
	}
	check.Check, check.Patterns = looksAt, true
	depth := 0
	for _, line := range logicalLines(text) {
		origin := fmt.Sprintf("%s:%d", path, line.number)
		switch word, _, _ := strings.Cut(line.text, " "); {
		case strings.EqualFold(word, "if"):
			depth++
			continue
		case strings.EqualFold(word, "endif"):
			depth--
			continue
		}
		key, not, value, ok := pattern(kind, line.text)
		e := SiteEntry{Key: key, Not: not, Origin: origin}
		e.Action, e.Text = r.action(origin, value)
		if !ok || depth > 0 {
			e.Key, e.Not, e.Action, e.Text = "", false, "unknown", ""
			r.note("%s: the expression is not modelled, it may match anything", origin)
		}
		check.Entries = append(check.Entries, e)
	}
}

// What POSIX expressions say otherwise than Go's: a backslash before a letter
// or digit, a repetition without its lower bound.
var posixOnly = regexp.MustCompile(`\\[0-9A-Za-z<>]|\{,`)

// pattern reads "/expression/flags action", with a "!" before it where the
// opposite counts, and gives the expression as Go has it. ok is false where Go
// does not read it the same way.
func pattern(kind, line string) (key string, not bool, value string, ok bool) {
	for strings.HasPrefix(line, "!") {
		not, line = !not, strings.TrimSpace(line[1:])
	}
	expression, rest, ok := delimited(line)
	if !ok {
		return "", false, "", false
	}
	letters, value, _ := strings.Cut(strings.ReplaceAll(rest, "\t", " "), " ")
	value = strings.TrimSpace(value)
	flags, ok := goFlags(kind, letters)
	if !ok || kind == "regexp" && posixOnly.MatchString(expression) {
		return "", false, value, false
	}
	key = flags + expression
	_, err := regexp.Compile(key)
	return key, not, value, err == nil
}

// delimited takes a table's expression out of what its first character, which
// can be any, encloses.
func delimited(line string) (expression, rest string, ok bool) {
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case line[0]:
			return strings.ReplaceAll(line[1:i], `\`+line[:1], line[:1]), line[i+1:], true
		}
	}
	return "", "", false
}

// goFlags turns the letters behind an expression, each of which turns a default
// over, into Go's: by default case does not count and a dot matches a newline.
func goFlags(kind, letters string) (string, bool) {
	fold, lines, dots := true, false, true
	for _, letter := range letters {
		switch {
		case letter == 'i':
			fold = !fold
		case letter == 'm':
			lines = !lines
			if kind == "regexp" { // REG_NEWLINE: for the dot as well
				dots = !dots
			}
		case letter == 's' && kind == "pcre":
			dots = !dots
		default:
			return "", false
		}
	}
	set := ""
	for _, f := range []struct {
		on     bool
		letter string
	}{{fold, "i"}, {lines, "m"}, {dots, "s"}} {
		if f.on {
			set += f.letter
		}
	}
	if set == "" {
		return "", true
	}
	return "(?" + set + ")", true
}
