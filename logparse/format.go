package logparse

import "slices"

// format reads the lines of one product. An instance belongs to one Parser and
// is asked about the lines of all its streams, so it may join across files.
//
// How a format is written: recognise a line (time with s.clock or
// s.seen(unixMilli)), find or make its transaction (p.open.get, p.open.begin)
// under a key that starts with the format's own letter and the gateway, keep
// lines that only give facts unparsed in it (transaction.keep) and read them
// when a line fails (most never do), get the recipient's record
// (transaction.record), fill the record's Message, and call p.failed for a
// failing line or p.touched for one that only changes a message. Close the
// transaction when the product says it is over (p.open.close); else age and
// count close it.
type format interface {
	// name is the format's name as in mail.Message.Format.
	name() string
	// detect reports whether a line is surely of this format. It is asked about
	// the first lines of a source and about lines the stream's own format
	// disowned; it must be cheap and must not keep line.
	detect(line []byte) bool
	// line reads one line without its line end, which stands at offset. It
	// returns false when the line is not of this format. A line of its own
	// format that it does not understand but that looks like a failure goes to
	// s.unrecognised. line is only valid during the call.
	line(s *Stream, offset int64, line []byte) bool
	// save returns what the format itself holds beyond the transactions (nil =
	// nothing), load takes it back.
	save() ([]byte, error)
	load(data []byte) error
}

// newFormats lists the formats in the order in which they are asked: those of
// the program, those that a user described, and those that come described.
func newFormats(p *Parser) []format {
	formats := codedFormats(p)
	for _, u := range append(slices.Clone(p.opts.Formats), shippedFormats()...) {
		if !slices.ContainsFunc(formats, func(f format) bool { return f.name() == u.name }) {
			formats = append(formats, &described{p: p, u: u})
		}
	}
	return formats
}

// codedFormats are those of the program.
func codedFormats(p *Parser) []format {
	return []format{
		newPostfix(p),
		newExim(p),
		newSendmail(p),
		newOpenSMTPD(p),
		newExchange(p),
		newM365(p),
		newCisco(p),
		newFortiMail(p),
		newProofpoint(p),
		newKumoMTA(p),
		newPowerMTA(p),
		newRspamd(p),
		newAmavis(p),
		newPMG(p),
		newHaraka(p),
		newMimecast(p, mimecastV1),
		newMimecast(p, mimecastV2),
	}
}

// stateless is a format that holds nothing beyond its transactions.
type stateless struct{}

func (stateless) save() ([]byte, error) { return nil, nil }
func (stateless) load([]byte) error     { return nil }
