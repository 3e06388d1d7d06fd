// Package logparse turns the bytes of mail logs into messages.
package logparse

import (
	"time"

	"mailwhy/engine/mail"
)

// Source says where bytes come from.
type Source struct {
	ID       string         // see SourceID; part of every message id
	Name     string         // the file as the user named it; goes into evidence
	Format   string         // "" = detect from the first lines, and per line where mixed
	ModTime  time.Time      // when the file was last written: year-less stamps end there
	Location *time.Location // of stamps without zone; nil = UTC
}

// Options of a parser.
type Options struct {
	All  bool // also messages without a failing line
	Open int  // most open transactions, default 500,000; the oldest are let go and counted
}

// Parser joins lines of all sources into messages. Not safe for concurrent use.
type Parser struct{}

// NewParser returns an empty parser.
func NewParser(o Options) *Parser { return &Parser{} }

// Open starts or goes on with a source.
func (p *Parser) Open(s Source) *Stream { return &Stream{} }

// Drain calls emit with each message made or changed since the last Drain, in
// its newest state, and forgets that they changed.
func (p *Parser) Drain(emit func(mail.Message)) {}

// Snapshot returns the open transactions and the state of every stream, so
// that Restore on a new parser goes on as if nothing had happened.
func (p *Parser) Snapshot() ([]byte, error) { return nil, nil }

// Restore reads a Snapshot; on error the parser is left empty.
func (p *Parser) Restore(data []byte) error { return nil }

// Stream is one source being read.
type Stream struct{}

// Feed takes bytes that stand at offset in the (decompressed) source and
// returns how many it has used: whole lines, ended by LF, CRLF or CR. The rest
// is given again with what follows; at eof the half line is used too. data is
// not kept.
func (s *Stream) Feed(offset int64, data []byte, eof bool) int { return len(data) }

// Stats counts what a stream has seen.
type Stats struct {
	Format              string
	Lines               int64
	Cut                 int64 // lines over 1 MiB, cut there
	UnrecognisedFailing int64
	LastTime            time.Time       // newest stamp
	Unrecognised        []mail.Evidence // the newest, at most 100
}

// Stats returns the counts so far.
func (s *Stream) Stats() Stats { return Stats{} }

// SourceID is the identity of a log: a hash of its first complete line, stable
// over growth, renaming and compression.
func SourceID(firstLine []byte) string { return "" }
