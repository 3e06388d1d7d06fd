//go:build sqlite

package index

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver

	"mailwhy/engine/mail"
)

// The opponents that are no layout of ours. They stand behind a build tag
// because SQLite takes a minute to compile.
func init() {
	layouts["sqlite"] = layoutWay{makeSQLite, openSQLite}
	layouts["ripgrep"] = layoutWay{makeLog, openLog}
}

// sqlite is one table of messages in the order of their ids with a trigram
// index over the fields a fragment is looked for in. The index keeps which
// rows have a trigram and no more: LIKE looks at the rows, which is smaller
// and was faster than phrases of trigrams.
type sqlite struct{ db *sql.DB }

const sqliteSchema = `
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE message (n INTEGER PRIMARY KEY, id TEXT, sender TEXT, recipient TEXT, host TEXT, subject TEXT, reason TEXT, outcome TEXT, body BLOB);
CREATE VIRTUAL TABLE part USING fts5(sender, recipient, host, subject, reason, content = 'message', content_rowid = 'n', tokenize = 'trigram', detail = 'none');
CREATE INDEX by_outcome ON message(outcome);`

func makeSQLite(ctx context.Context, dir string, days []int) error {
	db, err := sql.Open("sqlite", filepath.Join(dir, "messages.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, sqliteSchema); err != nil {
		return err
	}
	n := 0
	for day, count := range slices.Backward(days) {
		for part := range slices.Chunk(benchMessages(day, count), 10_000) {
			if err := insertSQLite(ctx, db, n, part); err != nil {
				return err
			}
			n += len(part)
		}
	}
	_, err = db.ExecContext(ctx, `INSERT INTO part(part) VALUES ('optimize'); PRAGMA wal_checkpoint(TRUNCATE); ANALYZE`)
	return err
}

func insertSQLite(ctx context.Context, db *sql.DB, n int, messages []mail.Message) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	rows, err := tx.PrepareContext(ctx, `INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	parts, err := tx.PrepareContext(ctx, `INSERT INTO part(rowid, sender, recipient, host, subject, reason) VALUES (?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	for i := range messages {
		m := &messages[i]
		body, err := json.Marshal(row(*m))
		if err != nil {
			return err
		}
		fields := fieldsOf(m)
		joined := make([]any, len(fragmentFields))
		for i, field := range fragmentFields {
			joined[i] = strings.Join(fields[field], "\n")
		}
		if _, err := rows.ExecContext(ctx, append(append([]any{n + i, m.ID}, joined...), string(m.Outcome), body)...); err != nil {
			return err
		}
		if _, err := parts.ExecContext(ctx, append([]any{n + i}, joined...)...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func openSQLite(dir string) (layout, error) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "messages.db")+"?_pragma=mmap_size(4000000000)")
	return sqlite{db}, err
}

func (l sqlite) newest(ctx context.Context, fragment string, limit int) (ids []string, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT message.id, message.body FROM part JOIN message ON message.n = part.rowid
		WHERE part.sender LIKE '%' || ? || '%' ORDER BY part.rowid DESC LIMIT ?`, fragment, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return nil, err
		}
		if _, err := decode(id, body); err != nil { // the others give messages, too
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func (l sqlite) top(ctx context.Context, n int) (map[string][]Value, error) {
	found := map[string][]Value{}
	for _, field := range countedFields {
		var sums counted // a row can have several values
		rows, err := l.db.QueryContext(ctx, `SELECT `+field+`, count(*) FROM message GROUP BY 1`)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var values string
			var count int
			if err := rows.Scan(&values, &count); err != nil {
				return nil, err
			}
			for value := range strings.SplitSeq(values, "\n") {
				sums.add([]byte(value), count)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
		if found[field], err = sums.top(ctx, n, true); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (l sqlite) close() error { return l.db.Close() }

// plainLog is the lines as a log has them, found by ripgrep; of what it finds,
// the last lines whose sender it is are the answer.
type plainLog struct{ path string }

func makeLog(_ context.Context, dir string, days []int) error {
	var text bytes.Buffer
	for day, n := range slices.Backward(days) {
		for _, m := range benchMessages(day, n) {
			fmt.Fprintf(&text, "%s %s\n", m.ID, m.Evidence[0].Text)
		}
	}
	return os.WriteFile(filepath.Join(dir, "maillog"), text.Bytes(), 0o600)
}

func openLog(dir string) (layout, error) { return plainLog{filepath.Join(dir, "maillog")}, nil }

func (l plainLog) newest(ctx context.Context, fragment string, limit int) ([]string, error) {
	out, err := exec.CommandContext(ctx, "rg", "--no-config", "--no-line-number", "--fixed-strings", "--", fragment, l.path).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 { // nothing found
		return nil, nil
	}
	var ids []string
	for lines := bytes.TrimSuffix(out, []byte("\n")); len(lines) > 0 && len(ids) < limit && err == nil; {
		end := bytes.LastIndexByte(lines, '\n')
		line := string(lines[end+1:])
		lines = lines[:max(end, 0)]
		id, rest, _ := strings.Cut(line, " ")
		_, rest, _ = strings.Cut(rest, "from=<")
		if sender, _, _ := strings.Cut(rest, ">"); strings.Contains(sender, fragment) {
			ids = append(ids, id)
		}
	}
	return ids, err
}

func (l plainLog) top(context.Context, int) (map[string][]Value, error) {
	return nil, errors.ErrUnsupported
}
func (l plainLog) close() error { return nil }
