package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mailwhy/cmd/internal/durable"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// Forget removes an address from the index, the stored lines and what the pump
// has open. The logs are not touched, nor is the journal: it is the record of
// what people did.
func (a *App) Forget(ctx context.Context, address mail.Path) (index.Forgotten, error) {
	a.mu.RLock()
	pump := a.pump
	a.mu.RUnlock()
	if pump == nil {
		var err error
		if pump, err = a.newPump(nil); err != nil {
			return index.Forgotten{}, err
		}
	}
	if err := pump.Forget(ctx, func(text []byte) bool { return index.Mentions(text, address) }); err != nil {
		return index.Forgotten{}, err
	}
	return a.Index.Forget(ctx, address)
}

// Backup copies the data folder to dir, which must not exist: the checkpoint
// first, so that the copy of the index is never behind it, then what people did
// and the index; not the host key, nor what listeners have spooled. Under its
// name it stands only when it is whole.
func (a *App) Backup(ctx context.Context, dir string) (err error) {
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s exists already: name a folder that does not", dir)
	}
	making := dir + ".new"
	if err := os.Mkdir(making, 0o700); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(making))
		}
	}()
	// The head goes before the audit, which must not end before it, and the people
	// that the audit refers to go after it.
	for _, name := range []string{"checkpoint", "exceptions.jsonl", AuditName + ".head", AuditName, AuditName + ".people", DecisionsName + "*", policyFolder + "/*.yaml"} {
		if err := copyFiles(a.Config.Data, making, name); err != nil {
			return fmt.Errorf("back up: %w", err)
		}
	}
	if err := a.Index.Backup(ctx, filepath.Join(making, "index")); err != nil {
		return err
	}
	return durable.Rename(making, dir)
}

// copyFiles copies the files that match a pattern from one folder to another.
func copyFiles(from, to, pattern string) error {
	names, err := fs.Glob(os.DirFS(from), pattern)
	if err != nil {
		return err
	}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700)
		}
		if err == nil {
			err = durable.Replace(filepath.Join(to, name), data)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}
