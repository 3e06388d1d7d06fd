package logparse

import (
	"net/netip"

	"mailwhy/engine/mail"
)

// savedGreylisted is the form of a deferral that waits, in a snapshot: its
// line, or its message, or of a message that the snapshot has elsewhere the id.
type savedGreylisted struct {
	Format  string       `json:"format"`
	From    mail.Path    `json:"from"`
	To      mail.Path    `json:"to"`
	Network netip.Prefix `json:"network"`
	Time    int64        `json:"time"`
	Stream  string       `json:"stream"`
	Offset  int64        `json:"offset"`
	Line    string       `json:"line,omitempty"`
	Gateway string       `json:"gateway,omitempty"`
	Message *savedRecord `json:"message,omitempty"`
	Record  string       `json:"record,omitempty"`
}

// saveGreylist returns what waits, the oldest first; elsewhere are the records
// that the snapshot has, those saved here included when it returns.
func (p *Parser) saveGreylist(elsewhere map[*record]bool) []savedGreylisted {
	var list []savedGreylisted
	for w := p.grey.oldest; w != nil; w = w.next {
		saved := savedGreylisted{Format: w.format, From: w.from, To: w.to, Network: w.network, Time: w.ms, Stream: w.stream.source.ID, Offset: w.offset, Line: w.line, Gateway: w.gateway}
		switch {
		case w.r == nil:
		case elsewhere[w.r]:
			saved.Record = w.r.ID
		default:
			saved.Message = &savedRecord{w.r.Message, w.r.listed}
			elsewhere[w.r] = true
		}
		list = append(list, saved)
	}
	return list
}

// loadGreylist takes back what saveGreylist returned; what cannot be is left out.
func (p *Parser) loadGreylist(saved []savedGreylisted) {
	records := p.records()
	for _, one := range saved {
		s := p.streams[one.Stream]
		if s == nil || one.Time <= 0 {
			continue
		}
		var r *record
		switch {
		case one.Message != nil:
			r = &record{Message: one.Message.Message}
			r.restoreTold()
			if one.Message.Listed {
				p.list(r)
			}
		case one.Record != "":
			if r = records[one.Record]; r == nil {
				continue
			}
		}
		w := &greylisted{format: one.Format, from: one.From, to: one.To, network: one.Network, ms: one.Time, stream: s, offset: one.Offset, r: r, line: one.Line, gateway: one.Gateway}
		p.putGreylisted(w)
	}
}

// forgetGreylisted drops what waits and satisfies mentions, and returns how many.
func (p *Parser) forgetGreylisted(mentions func(text []byte) bool) int {
	n := 0
	for w := p.grey.oldest; w != nil; {
		next := w.next
		if mentions([]byte(w.line)) || mentions([]byte(w.from+" "+w.to)) || w.r != nil && told(w.r.Message, mentions) {
			p.stopWaiting(w)
			n++
		}
		w = next
	}
	return n
}
