package publish

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The lines around what is ours in a file. The sum covers the lines between
// them, so that an edit by somebody else is noticed.
const (
	blockBegin = "# mailwhy begin, edits between these lines are refused, sum "
	blockEnd   = "# mailwhy end"
)

// block is a marked block at the head of a text file: the first entry for a key
// is the one that counts in every format that has one. What stands below stays
// as it is, byte for byte.
type block struct{ path string }

// read returns our lines and the rest of the file. A file that is not there is
// empty. *ForeignEditError when the block does not hold what was written.
func (b block) read() (ours []string, rest []byte, err error) {
	data, err := os.ReadFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read list: %w", err)
	}
	foreign := func(detail string) error { return &ForeignEditError{Place: "our block in " + b.path, Detail: detail} }
	if !bytes.HasPrefix(data, []byte(blockBegin)) {
		if bytes.Contains(data, []byte(blockBegin)) || bytes.Contains(data, []byte(blockEnd)) {
			return nil, nil, foreign("it is no longer at the head of the file")
		}
		return nil, data, nil
	}
	first, body, _ := strings.Cut(string(data), "\n")
	inside, after, closed := strings.Cut(body, blockEnd+"\n")
	if !closed {
		return nil, nil, foreign("its last line is missing")
	}
	if strings.TrimPrefix(first, blockBegin) != sumOf(inside) {
		return nil, nil, foreign("its lines are not those that were written")
	}
	if strings.Contains(after, blockBegin) {
		return nil, nil, foreign("a second one follows it")
	}
	if inside != "" {
		ours = strings.Split(strings.TrimSuffix(inside, "\n"), "\n")
	}
	return ours, []byte(after), nil
}

func sumOf(inside string) string {
	sum := sha256.Sum256([]byte(inside))
	return hex.EncodeToString(sum[:8])
}

// write puts lines in place of ours, in one rename; no lines take the block
// away. Owner and mode of the file stay.
func (b block) write(lines []string) error {
	_, rest, err := b.read()
	if err != nil {
		return err
	}
	if len(lines) > 0 && continues(rest) {
		return &ForeignEditError{Place: b.path, Detail: "its first line begins with a space, so it would continue ours"}
	}
	var text bytes.Buffer
	if len(lines) > 0 {
		inside := strings.Join(lines, "\n") + "\n"
		text.WriteString(blockBegin + sumOf(inside) + "\n" + inside + blockEnd + "\n")
	}
	text.Write(rest)
	return replaceFile(b.path, text.Bytes())
}

// continues reports whether the first line that says something begins with a
// space: in Postfix's and Exim's formats it belongs to the line before it.
func continues(rest []byte) bool {
	for line := range bytes.Lines(rest) {
		if said := bytes.TrimSpace(line); len(said) > 0 && said[0] != '#' {
			return line[0] == ' ' || line[0] == '\t'
		}
	}
	return false
}

// replaceFile writes a file whole or not at all, through a symbolic link to
// what it names.
func replaceFile(path string, data []byte) (err error) {
	if target, linkErr := filepath.EvalSymlinks(path); linkErr == nil {
		path = target
	}
	mode, uid, gid := fs.FileMode(0o644), -1, -1
	if info, statErr := os.Stat(path); statErr == nil {
		mode = info.Mode().Perm()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".mailwhy-*")
	if err != nil {
		return fmt.Errorf("write list: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write list %s: %w", path, err)
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode))
	if uid >= 0 && (uid != os.Geteuid() || gid != os.Getegid()) {
		err = errors.Join(err, f.Chown(uid, gid))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
