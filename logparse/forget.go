package logparse

import (
	"bytes"
	"encoding/json"
	"slices"

	"mailwhy/engine/mail"
)

// Forget gives up the open transactions, and the kept lines that were not
// understood, whose text satisfies mentions, and returns how many. What was
// emitted of them is the caller's to remove.
func (p *Parser) Forget(mentions func(text []byte) bool) int {
	p.open.settle()
	n := 0
	for _, list := range []*transactionList{&p.open.open, &p.open.finished} {
		for t := list.oldest; t != nil; {
			next := t.next
			if t.mentions(mentions) {
				p.open.close(t)
				n++
			}
			t = next
		}
	}
	for _, h := range slices.Clone(p.stories.order) {
		if told(h.m, mentions) {
			p.stories.forget(h)
			n++
		}
	}
	n += p.forgetGreylisted(mentions)
	for _, s := range p.order {
		kept := slices.DeleteFunc(slices.Clone(s.stats.Unrecognised), func(e mail.Evidence) bool { return mentions([]byte(e.Text)) })
		n += len(s.stats.Unrecognised) - len(kept)
		s.stats.Unrecognised = kept
		if r := s.newest.r; r != nil && told(r.Message, mentions) {
			s.newest = newest{} // one of no transaction, for others are closed above
		}
	}
	return n
}

func (t *transaction) mentions(is func(text []byte) bool) bool {
	if is(t.text) || is([]byte(t.told)) {
		return true
	}
	return t.facts != nil && told(t.facts, is) || slices.ContainsFunc(t.records, func(r *record) bool { return told(r.Message, is) })
}

// told reports whether a fact, as it is kept, satisfies mentions.
func told(fact any, mentions func(text []byte) bool) bool {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // "<" is a border of an address, "\u003c" would not be
	return encoder.Encode(fact) == nil && mentions(text.Bytes())
}
