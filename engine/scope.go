package engine

import (
	"fmt"
	"strings"
)

// Scope is the parsed form of --scope: "sender>recipient", "sender>all",
// "sender>group:NAME", "domain>recipient", "domain>all", with ",header",
// ",both" or ",ip" appended.
type Scope struct {
	From     string // "sender" or "domain"
	To       string // "recipient", "all" or "group:NAME"
	FromPart FromPart
	IP       bool
}

// ParseScope reads the grammar of --scope; "" is sender>recipient.
func ParseScope(text string) (Scope, error) {
	s := Scope{From: "sender", To: "recipient", FromPart: EnvelopeFrom}
	if text == "" {
		return s, nil
	}
	parts := strings.Split(text, ",")
	from, to, ok := strings.Cut(parts[0], ">")
	name, isGroup := strings.CutPrefix(to, "group:")
	if !ok || (from != "sender" && from != "domain") || (to != "recipient" && to != "all" && (!isGroup || name == "" || from == "domain")) {
		return Scope{}, fmt.Errorf("scope %q is not known: write sender>recipient, sender>all, sender>group:NAME, domain>recipient or domain>all, with ,header ,both or ,ip appended", text)
	}
	s.From, s.To = from, to
	for _, suffix := range parts[1:] {
		switch {
		case suffix == "header" && s.FromPart == EnvelopeFrom:
			s.FromPart = HeaderFrom
		case suffix == "both" && s.FromPart == EnvelopeFrom:
			s.FromPart = BothFrom
		case suffix == "ip" && !s.IP:
			s.IP = true
		default:
			return Scope{}, fmt.Errorf("scope %q: %q cannot be appended here: write one of ,header ,both and perhaps ,ip", text, suffix)
		}
	}
	return s, nil
}

// String gives the text ParseScope reads.
func (s Scope) String() string {
	text := s.From + ">" + s.To
	switch s.FromPart {
	case HeaderFrom:
		text += ",header"
	case BothFrom:
		text += ",both"
	}
	if s.IP {
		text += ",ip"
	}
	return text
}
