package sshd

import (
	"errors"
	"strings"
)

// errQuote is a command line whose quote is not closed.
var errQuote = errors.New("a quote is not closed")

// splitWords cuts a command line into words as a POSIX shell quotes them
// (blanks, '...', "...", \c) and does nothing else of a shell's: no variable, no
// substitution, no pattern, no operator. "a; b" is the words "a;" and "b".
func splitWords(line string) (words []string, err error) {
	var word strings.Builder
	inWord := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n', '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, errQuote
			}
			word.WriteString(line[i+1 : i+1+end])
			i, inWord = i+1+end, true
		case '"':
			end, err := doubleQuoted(&word, line[i+1:])
			if err != nil {
				return nil, err
			}
			i, inWord = i+1+end, true
		case '\\':
			if i+1 == len(line) {
				return nil, errQuote
			}
			i++
			word.WriteByte(line[i])
			inWord = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// doubleQuoted takes the text up to the closing quote, and returns where that is.
func doubleQuoted(word *strings.Builder, text string) (end int, err error) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i, nil
		case c == '\\' && i+1 < len(text) && strings.IndexByte("\\\"$`", text[i+1]) >= 0:
			i++
			word.WriteByte(text[i])
		default:
			word.WriteByte(c)
		}
	}
	return 0, errQuote
}
