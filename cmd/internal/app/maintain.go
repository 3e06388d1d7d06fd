package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
// first, so that the copy of the index is never behind it, then the journal
// and the index. Under its name it stands only when it is whole.
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
	for _, name := range []string{"checkpoint", "exceptions.jsonl"} {
		data, err := os.ReadFile(filepath.Join(a.Config.Data, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(making, name), data, 0o600)
		}
		if err != nil {
			return fmt.Errorf("back up %s: %w", name, err)
		}
	}
	if err := a.Index.Backup(ctx, filepath.Join(making, "index")); err != nil {
		return err
	}
	return os.Rename(making, dir)
}
