// Package logparse turns the bytes of mail logs into messages.
//
// It answers: which messages to which recipients did these logs see fail, and
// with what reply? Lines are read as each product writes them (Postfix's
// reject and status= lines behind RFC 3164 or RFC 5424 envelopes, Mimecast's
// SIEM records), joined by queue id or the product's own ids, and given out as
// [mail.Message], one a recipient, with every line that says so as evidence.
//
//	p := logparse.NewParser(logparse.Options{})
//	s := p.Open(logparse.Source{ID: logparse.SourceID(first), Name: "mail.log", ModTime: written})
//	s.Feed(0, data, true)
//	p.Drain(func(m mail.Message) { fmt.Println(m.Time, m.Recipient, m.Reply.Text) })
//
// The bytes come from the caller, so the same lines give the same messages
// whether they were read at once, in pieces, or over a restart. It must not
// know where bytes come from, where messages are kept, what time it is or
// which policy applies.
package logparse

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"mailwhy/engine/mail"
)

// Source says where bytes come from.
type Source struct {
	ID       string         // see SourceID; part of every message id
	Name     string         // the file as the user named it; goes into evidence
	Format   string         // "" = detect from the first lines, and per line where mixed
	ModTime  time.Time      // when the file was last written: year-less stamps end there; zero = their first year is 1970
	Location *time.Location // of stamps without zone; nil = UTC
}

// Options of a parser.
type Options struct {
	All     bool          // also messages without a failing line
	Open    int           // most open transactions, default 500,000; those not heard of for longest are let go and counted
	Formats []*UserFormat // described by users; asked before those that come with the program
	Join    bool          // several logs are read: tell in Message.Hops what other gateways say of a message; else only once a second format is met
	Hops    int           // most hops remembered for that, default 20,000; the oldest are let go
}

// defaultOpen bounds memory at some two kilobytes a transaction that has failed.
const defaultOpen = 500_000

// Parser joins lines of all sources into messages. Not safe for concurrent use.
type Parser struct {
	opts    Options
	formats []format
	open    transactions
	stories stories
	grey    greylist
	streams map[string]*Stream
	order   []*Stream // as they were opened; kept lines name their stream by index
	changed []*record
	lone    []*record // drained, to be used again
	slab    slab      // of lone records
	id      []byte    // room for the next message id
	repeats int       // how often the line being read says it came again
}

// NewParser returns an empty parser.
func NewParser(o Options) *Parser {
	if o.Open <= 0 {
		o.Open = defaultOpen
	}
	p := &Parser{opts: o}
	p.reset()
	return p
}

func (p *Parser) reset() {
	p.formats = newFormats(p)
	p.open = newTransactions(p.opts.Open)
	p.stories = newStories(p.opts.Hops)
	p.stories.on = p.opts.Join
	p.grey = newGreylist()
	p.streams, p.order = map[string]*Stream{}, nil
	p.changed, p.lone = nil, nil
}

// Open starts or goes on with a source: one that was open before, or that
// Restore brought back, keeps its counts and its inferred year.
func (p *Parser) Open(s Source) *Stream {
	if st, ok := p.streams[s.ID]; ok {
		st.source = s
		st.pin(p.format(s.Format))
		st.clock.modTime, st.clock.location = s.ModTime, s.Location
		return st
	}
	return p.add(s)
}

func (p *Parser) add(s Source) *Stream {
	st := newStream(p, s)
	st.index = int32(len(p.order))
	p.order = append(p.order, st)
	p.streams[s.ID] = st
	return st
}

func (p *Parser) format(name string) format {
	if name == "" {
		return nil
	}
	for _, f := range p.formats {
		if f.name() == name {
			return f
		}
	}
	return nil
}

// Formats are the names that Source.Format may have, those of described ones
// included.
func Formats(described ...*UserFormat) []string {
	var names []string
	for _, f := range NewParser(Options{Formats: described}).formats {
		names = append(names, f.name())
	}
	return names
}

// Drain calls emit with each message made or changed since the last Drain, in
// its newest state, and forgets that they changed.
func (p *Parser) Drain(emit func(mail.Message)) {
	p.settle()
	for i, r := range p.changed {
		r.listed = false
		r.Evidence = slices.Clip(r.Evidence) // what is given out is never written to again
		emit(r.Message)
		p.changed[i] = nil
		if r.lone && !r.newest && !r.held {
			*r = record{lone: true}
			p.lone = append(p.lone, r)
		}
	}
	p.changed = p.changed[:0]
}

// LetGo returns how many open transactions were given up, because there were
// more than Options.Open or because nothing was heard of them for two weeks of
// log time, and how many hops while others could still join them, and how many
// greylisted messages before the time for their retry was over. What they had
// failed stays as it was emitted.
func (p *Parser) LetGo() int64 { return p.open.letGo + p.stories.letGo + p.grey.letGo }

// SourceID is the identity of a log: a hash of its first complete line, stable
// over growth, renaming and compression. The line end does not count.
func SourceID(firstLine []byte) string {
	for n := len(firstLine); n > 0 && (firstLine[n-1] == '\n' || firstLine[n-1] == '\r'); n-- {
		firstLine = firstLine[:n-1]
	}
	sum := sha256.Sum256(firstLine)
	return hex.EncodeToString(sum[:8])
}
