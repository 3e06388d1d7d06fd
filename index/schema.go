package index

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	schemaName    = "schema.json"
	schemaVersion = 1 // of the folder's form; a program that reads another one must be told how

	asideMark      = ".corrupt-"
	regainedSuffix = ".regained" // beside what was set aside: its messages were read again
)

// schema is the file that makes a folder an index.
type schema struct {
	Version int `json:"version"`
}

// checkFolder refuses a folder that is not ours, before anything in it is
// touched: another program's, another user's, a newer program's.
func checkFolder(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open index: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the index %s belongs to %s: work as that user, or name another folder with --data", dir, userName(st.Uid))
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("the index %s cannot be written (%w): mend that, or name another folder with --data", dir, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, schemaName))
	if errors.Is(err, os.ErrNotExist) || err == nil && len(data) == 0 { // a power cut left no more of it
		return checkUnnamed(dir)
	}
	if err != nil {
		return fmt.Errorf("open index %s: %w", dir, err)
	}
	var s schema
	if err := json.Unmarshal(data, &s); err != nil || s.Version <= 0 {
		return fmt.Errorf("%s says nothing of an index: name another folder with --data", filepath.Join(dir, schemaName))
	}
	if s.Version > schemaVersion {
		return fmt.Errorf("the index %s was written by a newer mailwhy (form %d, this one reads form %d): use that one, or name another folder with --data", dir, s.Version, schemaVersion)
	}
	return nil
}

// checkUnnamed accepts a folder without schema that is empty or has nothing
// but shards.
func checkUnnamed(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open index %s: %w", dir, err)
	}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), asideMark)
		if !shardName(strings.TrimSuffix(name, ".new")) && !strings.HasPrefix(e.Name(), schemaName) {
			return fmt.Errorf("the folder %s is no index of mailwhy, it holds %s: name another folder with --data", dir, e.Name())
		}
	}
	return nil
}

func userName(uid uint32) string {
	if u, err := user.LookupId(fmt.Sprint(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", uid)
}

// writeSchema names the folder's form.
func writeSchema(dir string) error {
	path := filepath.Join(dir, schemaName)
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	data, err := json.Marshal(schema{Version: schemaVersion})
	if err != nil {
		return err
	}
	if err := writeSynced(path+".new", append(data, '\n')); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return syncFolder(dir)
}

// Shards are the names of the shards, oldest first.
func (x *Index) Shards() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var names []string
	for _, s := range x.shards {
		names = append(names, s.name)
	}
	return names
}

// Lost lists the days of which messages are gone, and must be read again from
// the logs: they were set aside as damaged, or their shard is among those
// there were before and is no more. Days past retention are not missed.
func (x *Index) Lost(before []string) []string {
	var days []string
	oldest := x.oldestDay()
	add := func(name string) {
		if day := name[:len("2006-01-02")]; day >= oldest && !slices.Contains(days, day) {
			days = append(days, day)
		}
	}
	there := x.Shards()
	for _, name := range before {
		if shardName(name) && !slices.Contains(there, name) {
			add(name)
		}
	}
	for _, name := range x.aside() {
		add(name)
	}
	slices.Sort(days)
	return days
}

// aside are the names of what was set aside and not read again.
func (x *Index) aside() []string {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return nil // whoever uses the folder reports it
	}
	var names []string
	for _, e := range entries {
		shard, _, ok := strings.Cut(e.Name(), asideMark)
		if !ok || !shardName(shard) || strings.HasSuffix(e.Name(), regainedSuffix) {
			continue
		}
		if _, err := os.Stat(filepath.Join(x.dir, e.Name()+regainedSuffix)); errors.Is(err, os.ErrNotExist) {
			names = append(names, e.Name())
		}
	}
	return names
}

// Regained notes that the logs were read again for the days that were lost.
func (x *Index) Regained(days []string) error {
	for _, name := range x.aside() {
		if !slices.Contains(days, name[:len("2006-01-02")]) {
			continue
		}
		if err := os.WriteFile(filepath.Join(x.dir, name+regainedSuffix), nil, 0o600); err != nil {
			return fmt.Errorf("note that %s was read again: %w", name, err)
		}
	}
	return nil
}
