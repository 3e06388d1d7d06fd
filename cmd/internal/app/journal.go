package app

import (
	"context"

	"mailwhy/cmd/internal/config"
	"mailwhy/logparse/journal"
	"mailwhy/logparse/spool"
)

// openJournal makes the journal what fills its spool.
func openJournal(c config.Journal, in *input) {
	r := journalReader(c, in.spool)
	in.run = func(ctx context.Context) error {
		if err := r.Check(); err != nil {
			return err
		}
		in.works()
		return r.Run(ctx)
	}
	in.once = r.Once
	in.note = func() string { return "read by journalctl" }
}

func journalReader(c config.Journal, to *spool.Spool) *journal.Reader {
	return journal.New(journal.Options{Spool: to, Units: c.Units, Identifiers: c.Identifiers, Directory: c.Directory, Since: c.Since})
}

// CheckJournal says what keeps the journal from being read.
func CheckJournal(c config.Journal) error { return journalReader(c, nil).Check() }
