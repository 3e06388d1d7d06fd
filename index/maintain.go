package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mailwhy/engine/mail"
	"mailwhy/index/raw"
)

// ShardStats is what one shard holds.
type ShardStats struct {
	Name     string `json:"shard"`
	Messages int    `json:"messages"`
	Bytes    int64  `json:"bytes"`     // on disk, the lines included
	RawBytes int64  `json:"raw_bytes"` // of the lines
	Sealed   bool   `json:"sealed"`    // nothing in it waits to be sealed
}

// Stats tells what each shard holds, oldest first.
func (x *Index) Stats(ctx context.Context) ([]ShardStats, error) {
	var list []ShardStats
	err := x.each(ctx, func(s *shard) error {
		st := ShardStats{Name: s.name}
		var err error
		if st.Messages, err = s.count(); err != nil {
			return fmt.Errorf("count shard %s: %w", s.name, err)
		}
		st.Bytes, st.RawBytes, st.Sealed = s.space()
		list = append(list, st)
		return nil
	})
	return list, err
}

// each calls do with every shard that can be opened, oldest first.
func (x *Index) each(ctx context.Context, do func(*shard) error) error {
	list := x.newestFirst(Query{})
	for i := len(list) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !x.open(list[i]) {
			continue
		}
		if err := do(list[i]); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return x.whole(nil)
}

// space is how much of the disk a shard takes.
func (s *shard) space() (all, lines int64, sealed bool) {
	sealed = true
	// What is renamed or removed meanwhile is not counted.
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			sealed = sealed && !strings.HasSuffix(path, liveSuffix)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		all += info.Size()
		if filepath.Base(path) == rawName {
			lines += info.Size()
		}
		return nil
	})
	return all, lines, sealed
}

// Finding is something that Verify found wrong.
type Finding struct {
	Shard    string `json:"shard"`
	Sentence string `json:"problem"`
}

// Verify reads every message and every line, and tells what it finds wrong.
// Shards that cannot be opened are set aside, as at any other use.
func (x *Index) Verify(ctx context.Context) (messages int, found []Finding, err error) {
	err = x.each(ctx, func(s *shard) error {
		layers, release, err := s.use()
		if err != nil {
			return err
		}
		defer release()
		lines, err := s.lines()
		if err != nil {
			found = append(found, Finding{s.name, err.Error()})
			return nil
		}
		damaged, err := lines.Verify()
		if err != nil || damaged > 0 {
			found = append(found, Finding{s.name, or(err, "%d blocks of lines are damaged: the evidence in them is lost where the logs are gone", damaged)})
		}
		err = inOrder(ctx, layers, func(id string, row []byte) error {
			messages++
			m, err := decode(id, row)
			if err == nil && m.ID != id {
				err = fmt.Errorf("it says it is %q", m.ID)
			}
			if err != nil {
				found = append(found, Finding{s.name, fmt.Sprintf("message %s: %v", id, err)})
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			found = append(found, Finding{s.name, err.Error()})
			return nil
		}
		return err
	})
	for _, sentence := range x.Problems() {
		found = append(found, Finding{Sentence: sentence})
	}
	return messages, found, err
}

func or(err error, format string, args ...any) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(format, args...)
}

// Compact seals every shard and drops lines that no message cites any more.
func (x *Index) Compact(ctx context.Context) error {
	return x.each(ctx, func(s *shard) error {
		if err := x.seal(ctx, s, nil); err != nil {
			return err
		}
		return x.sweep(ctx, s, nil)
	})
}

// Rebuild makes every shard's dictionaries and postings anew from its rows.
func (x *Index) Rebuild(ctx context.Context) error {
	return x.each(ctx, func(s *shard) error {
		return x.seal(ctx, s, func(*mail.Message) bool { return true })
	})
}

// sweep rewrites the lines of a shard: those that a message cites, but for
// those that drop names. Messages arrive meanwhile.
func (x *Index) sweep(ctx context.Context, s *shard, drop func(text []byte) bool) error {
	x.sealer.one.Lock()
	defer x.sealer.one.Unlock()
	x.writing.Lock() // what has lines now has its message in a layer, too
	layers, release, err := s.use()
	if err != nil {
		x.writing.Unlock()
		return err
	}
	defer release()
	lines, err := s.lines()
	mark := int64(0)
	if err == nil {
		mark = lines.Size()
	}
	x.writing.Unlock()
	if err != nil {
		return err
	}
	cited := map[uint64]struct{}{}
	for _, h := range layers {
		err := h.documents(ctx, true, func(id string, row []byte) error { // one that is replaced meanwhile is hidden then
			m, err := decode(id, row)
			for e := range m.Lines() {
				cited[raw.Key(id, *e)] = struct{}{}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read shard %s: %w", s.name, err)
		}
	}
	return lines.Rewrite(mark, func(key uint64, text []byte, late bool) bool {
		_, live := cited[key]
		return (live || late) && (drop == nil || !drop(text))
	})
}

// Backup copies the index to dir, which must not exist: sealed layers as hard
// links where dir is on the same file system, the lines as copies. What is
// live is sealed first, so that the copy is of one moment in each shard.
func (x *Index) Backup(ctx context.Context, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("back up index: %w", err)
	}
	if err := linkOrCopy(filepath.Join(x.dir, schemaName), filepath.Join(dir, schemaName)); err != nil {
		return fmt.Errorf("back up index: %w", err)
	}
	return x.each(ctx, func(s *shard) error {
		if err := x.seal(ctx, s, nil); err != nil {
			return err
		}
		if err := x.backupShard(s, filepath.Join(dir, s.name)); err != nil {
			return fmt.Errorf("back up shard %s: %w", s.name, err)
		}
		return nil
	})
}

func (x *Index) backupShard(s *shard, dir string) error {
	x.writing.Lock() // no layer comes or goes, no line is added
	defer x.writing.Unlock()
	layers, release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, h := range layers {
		if !strings.HasSuffix(h.path, sealedSuffix) {
			continue // begun since it was sealed: the checkpoint of the backup is older
		}
		if err := linkOrCopy(h.path, filepath.Join(dir, filepath.Base(h.path))); err != nil {
			return err
		}
	}
	err = copyFile(filepath.Join(s.dir, rawName), filepath.Join(dir, rawName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncFolder(dir)
}

func linkOrCopy(from, to string) error {
	if err := os.Link(from, to); err == nil {
		return nil
	}
	return copyFile(from, to)
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // opened for reading
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
