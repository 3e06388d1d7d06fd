package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"mailwhy/engine/mail"
	"mailwhy/logparse"
	"mailwhy/tui/cell"
)

// origins is what `parse --explain` prints of one message.
type origins struct {
	ID     string            `json:"id"`
	Format string            `json:"format"`
	Fields []logparse.Origin `json:"fields"`
}

// parseOrigins prints of each message where its facts stand.
func (s *session) parseOrigins(parser *logparse.Parser, read func(emit func(mail.Message)) (parseStats, error)) error {
	messages := map[string]mail.Message{}
	if _, err := read(func(m mail.Message) { messages[m.ID] = m }); err != nil {
		return err
	}
	w, flush := s.buffered()
	for _, id := range slices.Sorted(maps.Keys(messages)) {
		m := messages[id]
		if err := s.printOrigins(w, origins{m.ID, m.Format, parser.Explain(m)}); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if len(messages) == 0 {
		return errNothing
	}
	return nil
}

func (s *session) printOrigins(w io.Writer, o origins) error {
	if s.json {
		return s.printJSON(w, o)
	}
	if _, err := fmt.Fprintf(w, "%s  %s\n", cell.Clean(o.ID), cell.Clean(o.Format)); err != nil {
		return err
	}
	for _, f := range o.Fields {
		place := fmt.Sprintf("%s at %d", f.File, f.Offset)
		if f.End > f.Start {
			place += fmt.Sprintf(", bytes %d-%d", f.Start, f.End)
		}
		if f.Key != "" {
			place += ", " + f.Key
		}
		if f.Rule != "" {
			place += ", by " + f.Rule
		}
		if _, err := fmt.Fprintf(w, "  %-18s %-40s %s\n", f.Field, cell.Clean(f.Value), cell.Clean(place)); err != nil {
			return err
		}
	}
	return nil
}
