package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mailwhy/logparse/tail"
)

// checkpoint is how far the logs were used, and what is open between lines.
type checkpoint struct {
	Tail   tail.State `json:"tail"`
	Parser []byte     `json:"parser"`
}

const checkpointName = "checkpoint.json"

// readCheckpoint returns nil when there is none.
func readCheckpoint(dir string) (*checkpoint, error) {
	data, err := os.ReadFile(filepath.Join(dir, checkpointName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	var c checkpoint
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("decode checkpoint: %w", err)
	}
	return &c, nil
}

// writeCheckpoint replaces the checkpoint at once: a crash leaves the old one
// or the new one.
func writeCheckpoint(dir string, c checkpoint) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode checkpoint: %w", err)
	}
	path := filepath.Join(dir, checkpointName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncFolder(dir)
	}
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
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

// setAside renames a checkpoint that cannot be read and returns its new name.
func setAside(dir string) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.corrupt-%d", checkpointName, n)
		if _, err := os.Lstat(filepath.Join(dir, aside)); err == nil {
			continue
		}
		if err := os.Rename(filepath.Join(dir, checkpointName), filepath.Join(dir, aside)); err != nil {
			return "", fmt.Errorf("set checkpoint aside: %w", err)
		}
		return aside, nil
	}
}
