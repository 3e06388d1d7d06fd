package siem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mailwhy/logparse/spool"
)

// state is how far the logs were read for good.
type state struct {
	Version int               `json:"version"`
	Tokens  map[string]string `json:"tokens"`         // by log: of the page that follows
	Place   spool.Position    `json:"place"`          // in the spool, behind the last finished page
	Open    string            `json:"open,omitempty"` // the log whose page was begun

	// Again is the log that is read anew since its token was refused. Place
	// stays until that is done: all that the spool has is known.
	Again bool `json:"again,omitempty"`

	// Files are those that were read of a page that came without a token.
	Files map[string][]string `json:"files,omitempty"`
}

const stateVersion = 1

func (s *state) has(kind, name string) bool { return slices.Contains(s.Files[kind], name) }

func readState(path string) (state, error) {
	s := state{Version: stateVersion, Tokens: map[string]string{}, Files: map[string][]string{}}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err == nil && s.Version != stateVersion {
		err = fmt.Errorf("it has version %d, this program writes %d", s.Version, stateVersion)
	}
	if err != nil {
		return s, fmt.Errorf("read how far the API was read, %s: %w; without the file it is read again from its start", path, err)
	}
	if s.Tokens == nil {
		s.Tokens = map[string]string{}
	}
	if s.Files == nil {
		s.Files = map[string][]string{}
	}
	return s, nil
}

// write replaces the file at once: a crash leaves the old one or the new one.
func (s *state) write(path string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write how far the API was read: %w", err)
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write how far the API was read: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write how far the API was read: %w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
