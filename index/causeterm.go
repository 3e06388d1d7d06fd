package index

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Term is the word of a query line that finds exactly the messages of a cause:
// cause:"rule|domain|reason". What would end the word, or what a terminal does
// not show, is written as in a URL (%22 for a quote).
func (c Cause) Term() string {
	return `cause:"` + escapeCause(c.Rule) + "|" + escapeCause(c.Domain) + "|" + escapeCause(c.Reason) + `"`
}

func escapeCause(part string) string {
	var b strings.Builder
	for len(part) > 0 {
		r, n := utf8.DecodeRuneInString(part)
		if r == utf8.RuneError && n == 1 || !unicode.IsPrint(r) || strings.ContainsRune(`"|%`, r) {
			for _, octet := range []byte(part[:n]) {
				fmt.Fprintf(&b, "%%%02X", octet)
			}
		} else {
			b.WriteString(part[:n])
		}
		part = part[n:]
	}
	return b.String()
}

// causeKey reads the value of a cause: term as causeOf writes it.
func causeKey(value string) (string, error) {
	parts := strings.Split(value, "|")
	if len(parts) != 3 {
		return "", errors.New("a cause has three parts")
	}
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			return "", fmt.Errorf("part %d of a cause: %w", i+1, err)
		}
		parts[i] = plain
	}
	return strings.Join(parts, causeSeparator), nil
}
