package tui

import (
	"fmt"
	"strings"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// mostOfGroup is how many messages of a cause are looked at to tell whose they
// are.
const mostOfGroup = 1000

// group is the messages of one cause, of which one bypass is to be drafted.
type group struct {
	rows       []mail.Message // the newest, at most mostOfGroup
	count      int            // of all
	senders    int            // by envelope, among rows
	headers    int            // by header from, where it is known
	recipients int
}

func newGroup(rows []mail.Message, count int) group {
	senders, headers, recipients := map[mail.Path]bool{}, map[mail.Path]bool{}, map[mail.Path]bool{}
	for _, m := range rows {
		senders[firstPath(m.EnvelopeFrom, m.HeaderFrom).Fold()] = true
		headers[firstPath(m.HeaderFrom, m.EnvelopeFrom).Fold()] = true
		recipients[m.Recipient.Fold()] = true
	}
	return group{rows, max(count, len(rows)), len(senders), len(headers), len(recipients)}
}

// scope is the narrowest scope that holds all of the group, by the address of
// the sender that the narrowest remedy for its newest message goes by; "" when
// no bypass helps that one.
func (g *group) scope(all []engine.Remedy) string {
	_, narrow := narrowest(all, engine.KindBypass)
	if narrow == "" {
		return ""
	}
	part, senders := "", g.senders
	for _, suffix := range []string{",header", ",both"} {
		if strings.Contains(narrow, suffix) {
			part, senders = suffix, max(g.headers, g.senders)
		}
	}
	if part == ",header" {
		senders = g.headers
	}
	from, to := "sender", "recipient"
	if senders > 1 {
		from = "domain"
	}
	if g.recipients > 1 {
		to = "all"
	}
	return from + ">" + to + part
}

// words says what a bypass for the group would be, or that there is none.
func (g *group) words(all []engine.Remedy, arrow string) string {
	text := fmt.Sprintf("Newest of %s of this cause", number(g.count))
	if g.count == 1 {
		text = "The one message of this cause"
	}
	of := fmt.Sprintf("%s %s, %s %s", number(g.senders), plural(g.senders, "sender", "senders"), number(g.recipients), plural(g.recipients, "recipient", "recipients"))
	if g.count > len(g.rows) {
		of += " among the newest " + number(len(g.rows))
	}
	scope := g.scope(all)
	if scope == "" {
		return text + " (" + of + "). No bypass helps it."
	}
	return text + " (" + of + "). b drafts the narrowest bypass for all of it: " + scopeWords(scope, g.rows[0], arrow) + "."
}
