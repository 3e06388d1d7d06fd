package publish

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// SQLiteOptions name a database that Postfix asks by an sqlite: map.
type SQLiteOptions struct {
	Name      string
	Path      string // the database; its table is ours
	ConfigDir string // of postmap, "" = the system's
	Map       string // the sqlite: map's own file, "/etc/postfix/mailwhy.cf", for Verify
	Command   string // "" = "sqlite3"
}

// NewSQLite publishes to a table of its own in an SQLite database, which
// Postfix reads at every look-up: an entry counts at once.
func NewSQLite(o SQLiteOptions) Publisher {
	if o.Command == "" {
		o.Command = "sqlite3"
	}
	return &database{o: o, sender: postfixMap{Name: o.Name, Type: "sqlite", Path: o.Map, ConfigDir: o.ConfigDir}}
}

type database struct {
	o      SQLiteOptions
	sender postfixMap
}

// sqlTable is ours alone.
const sqlTable = "mailwhy_access"

// Name is the gateway's name in the configuration.
func (d *database) Name() string { return d.o.Name }

// Lifts tells that a table of our own refuses nobody.
func (d *database) Lifts(m *mail.Message) (bool, string) {
	if m.Format != "postfix" || m.Reported.Type != "Sender address rejected" {
		return false, "another check refused it, which a sender access map cannot lift"
	}
	return true, "where the entry stands in the map that refused it"
}

// Fits tells what an entry cannot lift here, or why the table cannot hold it.
func (d *database) Fits(e Entry) ([]string, error) {
	r, err := rowOf(e, "*'")
	if err != nil {
		return nil, err
	}
	_, limits, err := d.sender.lines(r)
	return limits, err
}

func (d *database) run(ctx context.Context, sql string) (string, error) {
	return runCommand(ctx, ".bail on\n.timeout 5000\n"+sql, d.o.Command, "-batch", "-noheader", filepath.Clean(d.o.Path))
}

func (d *database) wanted(want []Entry) (map[string][]int, error) {
	ids := map[string][]int{}
	for _, e := range want {
		r, err := rowOf(e, "*'")
		if err == nil {
			_, _, err = d.sender.lines(r)
		}
		if err != nil {
			return nil, fmt.Errorf("exception %d: %w", e.ID, err)
		}
		ids[r.sender] = append(ids[r.sender], e.ID)
	}
	return ids, nil
}

func (d *database) have(ctx context.Context) ([]string, error) {
	out, err := d.run(ctx, "CREATE TABLE IF NOT EXISTS "+sqlTable+" (sender TEXT PRIMARY KEY, action TEXT NOT NULL);\nSELECT sender FROM "+sqlTable+" WHERE action = '"+dunno+"' ORDER BY sender;\n")
	return strings.Fields(out), err
}

// Plan is the difference between the table and what it shall hold.
func (d *database) Plan(ctx context.Context, want []Entry) (Plan, error) {
	ids, err := d.wanted(want)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(d.o.Path); err != nil && len(ids) == 0 {
		return nil, nil
	}
	have, err := d.have(ctx)
	if err != nil {
		return nil, err
	}
	var p Plan
	for _, sender := range have {
		if ids[sender] == nil {
			p = append(p, "- "+sender+" "+dunno)
		}
	}
	for sender := range ids {
		if !slices.Contains(have, sender) {
			p = append(p, "+ "+sender+" "+dunno)
		}
	}
	slices.Sort(p)
	return p, nil
}

// Apply replaces the table's rows in one transaction. The senders were read by
// exactAddress without quotes, so that they can stand in a statement.
func (d *database) Apply(ctx context.Context, want []Entry) error {
	ids, err := d.wanted(want)
	if err != nil {
		return err
	}
	var sql strings.Builder
	sql.WriteString("BEGIN IMMEDIATE;\nCREATE TABLE IF NOT EXISTS " + sqlTable + " (sender TEXT PRIMARY KEY, action TEXT NOT NULL);\nDELETE FROM " + sqlTable + ";\n")
	for sender := range ids {
		fmt.Fprintf(&sql, "INSERT INTO %s VALUES ('%s', '%s');\n", sqlTable, sender, dunno)
	}
	sql.WriteString("COMMIT;\n")
	_, err = d.run(ctx, sql.String())
	return err
}

// Verify asks Postfix, by postmap, where its map file is named.
func (d *database) Verify(ctx context.Context, want []Entry) error {
	ids, err := d.wanted(want)
	if err != nil || len(ids) == 0 {
		return err
	}
	known := map[string]string{}
	if d.o.Map != "" {
		var keys []string
		for sender := range ids {
			keys = append(keys, sender)
		}
		if known, err = d.sender.query(ctx, keys); err != nil {
			return err
		}
	} else {
		have, err := d.have(ctx)
		if err != nil {
			return err
		}
		for _, sender := range have {
			known[sender] = dunno
		}
	}
	failed := EntryErrors{}
	for sender, list := range ids {
		if known[sender] != dunno {
			for _, id := range list {
				failed[id] = fmt.Errorf("it was written to %s, but the map answers %q for %s", d.o.Path, known[sender], sender)
			}
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

// Withdraw empties the table.
func (d *database) Withdraw(ctx context.Context) error { return d.Apply(ctx, nil) }
