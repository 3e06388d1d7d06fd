package tail

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Compressed reports whether a file of this name is read through a decompressor.
func Compressed(path string) bool {
	return slices.Contains([]string{".gz", ".xz", ".zst", ".bz2"}, filepath.Ext(path))
}

// Open opens a log for reading from its start, decompressed by its name.
func Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if !Compressed(path) {
		return f, nil
	}
	r, err := unpacked(f, filepath.Ext(path))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("decompress %s: %w", path, err), f.Close())
	}
	return &decompressed{ReadCloser: r, file: f}, nil
}

// Unpack reads a stream that has no name, decompressed by what it begins with.
// The stream itself is the caller's to close.
func Unpack(in io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(in)
	head, _ := b.Peek(len(xzMagic)) // less: it is too short to be compressed
	for form, magic := range map[string]string{".gz": "\x1f\x8b", ".xz": xzMagic, ".zst": "\x28\xb5\x2f\xfd", ".bz2": "BZh"} {
		if bytes.HasPrefix(head, []byte(magic)) && (form != ".bz2" || len(head) > 4 && head[4] == 0x31) { // a block's magic begins with pi
			r, err := unpacked(b, form)
			if err != nil {
				return nil, fmt.Errorf("decompress: %w", err)
			}
			return r, nil
		}
	}
	return io.NopCloser(b), nil
}

const xzMagic = "\xfd7zXZ\x00"

// unpacked reads one of the forms that Compressed knows, all members of it.
func unpacked(in io.Reader, form string) (io.ReadCloser, error) {
	switch form {
	case ".gz":
		return gzip.NewReader(in)
	case ".xz":
		r, err := xz.NewReader(in)
		return io.NopCloser(r), err
	case ".zst":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(bzip2.NewReader(in)), nil
}

// decompressed is a file that is read through a decompressor.
type decompressed struct {
	io.ReadCloser
	file *os.File
}

func (d *decompressed) Close() error { return errors.Join(d.ReadCloser.Close(), d.file.Close()) }

// Expand resolves globs, folders and plain paths to the files there are, oldest
// first, each once. A folder, named or found by a glob, stands for the files in
// it: not for those of its own folders, nor for hidden ones. A plain path is
// kept also when there is no such file, and a folder while nothing is in it.
func Expand(patterns []string) ([]string, error) {
	var paths []string
	for _, p := range patterns {
		found, err := matches(p)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			if files := filesIn(path); len(files) > 0 {
				paths = append(paths, files...)
			} else {
				paths = append(paths, path)
			}
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	slices.Reverse(paths) // of equal age, maillog.2 is older than maillog.1 and that older than maillog
	modified := map[string]int64{}
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			modified[p] = info.ModTime().UnixNano()
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int {
		switch {
		case modified[a] < modified[b]:
			return -1
		case modified[a] > modified[b]:
			return 1
		}
		return 0
	})
	return paths, nil
}

// matches are the paths a source stands for, as they are named.
func matches(source string) ([]string, error) {
	if !strings.ContainsAny(source, "*?[") {
		return []string{source}, nil
	}
	if _, err := os.Lstat(source); err == nil {
		return []string{source}, nil // it is a name with such signs in it
	}
	found, err := filepath.Glob(source)
	if err != nil {
		return nil, fmt.Errorf("glob %s: %w", source, err)
	}
	return found, nil
}

// filesIn are the files that a folder stands for; nil when path is no folder,
// or one that cannot be read, which looking at it then tells.
func filesIn(path string) []string {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			files = append(files, name)
		}
	}
	return files
}
