package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailwhy/cmd/internal/durable"
	"mailwhy/engine"
	"mailwhy/engine/exception"
)

// policyFolder holds every content the policy file ever had, in the data
// folder: <since>-<hash>.yaml, so that the order of names is that of time.
const policyFolder = "policies"

// versionTime is the time in the name of a kept version, UTC.
const versionTime = "20060102T150405.000Z"

// policyVersion is one content of the policy file.
type policyVersion struct {
	path  string
	hash  string
	since time.Time // in force from then until the next one
}

// versions lists the kept contents, oldest first. One process owns the folder,
// so it is read once.
func (a *App) versions() ([]policyVersion, error) {
	a.mu.RLock()
	kept := a.kept
	a.mu.RUnlock()
	if kept != nil {
		return kept, nil
	}
	all, err := a.readVersions()
	if err == nil {
		a.mu.Lock()
		a.kept = all
		a.mu.Unlock()
	}
	return all, err
}

func (a *App) readVersions() ([]policyVersion, error) {
	entries, err := os.ReadDir(filepath.Join(a.Config.Data, policyFolder))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read policy history: %w", err)
	}
	var all []policyVersion
	for _, e := range entries {
		stamp, hash, ok := strings.Cut(strings.TrimSuffix(e.Name(), ".yaml"), "-")
		since, err := time.Parse(versionTime, stamp)
		if ok && err == nil && strings.HasSuffix(e.Name(), ".yaml") {
			all = append(all, policyVersion{path: filepath.Join(a.Config.Data, policyFolder, e.Name()), hash: hash, since: since})
		}
	}
	return all, nil
}

// keepPolicy keeps the content of the policy file if it is a new one, and
// journals what changed. The file's own time tells from when on it was in
// force, where that can be true.
func (a *App) keepPolicy(ctx context.Context, set *engine.Set, data []byte, written time.Time) error {
	all, err := a.versions()
	if err != nil {
		return err
	}
	since := written.UTC().Truncate(time.Millisecond)
	if now := a.Now(); since.After(now) || since.IsZero() {
		since = now
	}
	if len(all) > 0 {
		last := all[len(all)-1]
		if last.hash == set.Version() {
			return nil
		}
		if !since.After(last.since) {
			since = a.Now()
		}
	}
	folder := filepath.Join(a.Config.Data, policyFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("keep policy history: %w", err)
	}
	path := filepath.Join(folder, since.Format(versionTime)+"-"+set.Version()+".yaml")
	if err := durable.Replace(path, data); err != nil {
		return fmt.Errorf("keep policy history: %w", err)
	}
	a.mu.Lock()
	a.kept = append(slices.Clip(all), policyVersion{path: path, hash: set.Version(), since: since})
	a.mu.Unlock()
	if len(all) == 0 {
		return nil // nothing was edited: it is the first one seen
	}
	edit := exception.PolicyEdit{Path: a.Config.Policy, Hash: set.Version(), Owner: ownerOf(a.Config.Policy), Time: since}
	if before, err := a.loadVersion(all[len(all)-1]); err == nil {
		edit.Difference = engine.Differences(before, set)
	}
	return a.Exceptions.NotePolicyEdit(ctx, edit)
}

// mostVersions is how many old policy sets are kept compiled.
const mostVersions = 4

func (a *App) loadVersion(v policyVersion) (*engine.Set, error) {
	a.mu.RLock()
	set := a.old[v.hash]
	a.mu.RUnlock()
	if set != nil {
		return set, nil
	}
	data, err := os.ReadFile(v.path)
	if err != nil {
		return nil, fmt.Errorf("read policy history: %w", err)
	}
	if set, err = engine.Load(a.Config.Policy, data); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.old == nil || len(a.old) >= mostVersions {
		a.old = map[string]*engine.Set{}
	}
	a.old[v.hash] = set
	return set, nil
}

// SetAt is the set that was in force at an instant, with every exception; of a
// time before the first kept version it is the present one.
func (a *App) SetAt(at time.Time) *engine.Set {
	all, err := a.versions()
	i, _ := slices.BinarySearchFunc(all, at, func(v policyVersion, at time.Time) int {
		if v.since.After(at) {
			return 1
		}
		return -1
	})
	a.mu.RLock()
	set, base, changes := a.set, a.base, a.applied
	a.mu.RUnlock()
	if err != nil || i == 0 || all[i-1].hash == base.Version() {
		return set
	}
	then, err := a.loadVersion(all[i-1])
	if err != nil {
		return set
	}
	return then.Apply(changes...)
}
