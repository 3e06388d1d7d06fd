package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"mailwhy/logparse/tail"
)

// checkpoint is how far the logs were used, and what is open between lines.
type checkpoint struct {
	Tail   tail.State
	Shards []string // of the index
	Parser []byte   // of Parser.Snapshot
}

// checkpointHead is the first line of the file; the parser's snapshot follows
// it as it is, for it can be large.
type checkpointHead struct {
	Version int        `json:"version"`
	Sum     uint32     `json:"sum"` // CRC-32C of the snapshot
	Tail    tail.State `json:"tail"`
	Shards  []string   `json:"shards,omitempty"`
}

const (
	checkpointName    = "checkpoint"
	checkpointVersion = 1
)

func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// readCheckpoint returns nil when there is none.
func readCheckpoint(dir string) (*checkpoint, error) {
	data, err := os.ReadFile(filepath.Join(dir, checkpointName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	first, snapshot, _ := bytes.Cut(data, []byte("\n"))
	var head checkpointHead
	if err := json.Unmarshal(first, &head); err != nil {
		return nil, fmt.Errorf("decode checkpoint: %w", err)
	}
	if head.Version != checkpointVersion {
		return nil, fmt.Errorf("the checkpoint has version %d, this program writes %d", head.Version, checkpointVersion)
	}
	if checksum(snapshot) != head.Sum {
		return nil, errors.New("the checkpoint is damaged")
	}
	return &checkpoint{Tail: head.Tail, Shards: head.Shards, Parser: snapshot}, nil
}

// StartOver forgets how far the logs were used: the next pump of the data folder
// reads them from their beginning. None may run meanwhile.
func StartOver(data string) error {
	err := os.Remove(filepath.Join(data, checkpointName))
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("remove checkpoint: %w", err)
}

// writeCheckpoint replaces the checkpoint at once: a crash leaves the old one
// or the new one.
func writeCheckpoint(dir string, c checkpoint) error {
	head, err := json.Marshal(checkpointHead{Version: checkpointVersion, Sum: checksum(c.Parser), Tail: c.Tail, Shards: c.Shards})
	if err != nil {
		return fmt.Errorf("encode checkpoint: %w", err)
	}
	path := filepath.Join(dir, checkpointName)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	_, err = f.Write(append(head, '\n'))
	if err == nil {
		_, err = f.Write(c.Parser)
	}
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

// checkpointAt checkpoints before a chunk of a log is used, when it is time
// and the follower's state says just this much of the log.
func (p *Pump) checkpointAt(id string, offset int64) error {
	if !p.saver.due(p.dirty) {
		return nil
	}
	state := p.follower.State()
	if state.Logs[id].Offset != offset {
		return nil // a file that is read whole: the state names its start until its end
	}
	return p.checkpoint(state)
}

// checkpoint saves how far everything is, in the background.
func (p *Pump) checkpoint(state tail.State) error {
	n, c, err := p.capture(state)
	if err != nil {
		return err
	}
	p.saver.later(n, c, p.queue.after(), p.note)
	return nil
}

// settle saves how far everything is and waits until it is on disk.
func (p *Pump) settle(ctx context.Context) error {
	p.refresh()
	n, c, err := p.capture(p.follower.State())
	if err != nil {
		return err
	}
	for written := p.queue.after(); ; {
		err := p.saver.save(ctx, n, c, written)
		if err == nil || p.broken != nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(p.options.again):
		case <-ctx.Done():
			return err
		}
	}
}

func (p *Pump) capture(state tail.State) (int, checkpoint, error) {
	started := time.Now()
	snapshot, err := p.parser.Snapshot()
	if err != nil {
		return 0, checkpoint{}, fmt.Errorf("snapshot of open transactions: %w", err)
	}
	p.dirty = false
	return p.saver.number(time.Since(started)), checkpoint{Tail: state, Parser: snapshot}, nil
}
