package tail

import (
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
	var r io.Reader
	switch filepath.Ext(path) {
	case ".gz":
		r, err = gzip.NewReader(f)
	case ".xz":
		r, err = xz.NewReader(f)
	case ".zst":
		var z *zstd.Decoder
		z, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err == nil {
			return &decompressed{Reader: z, close: func() error { z.Close(); return f.Close() }}, nil
		}
	case ".bz2":
		r = bzip2.NewReader(f)
	default:
		return f, nil
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("decompress %s: %w", path, err), f.Close())
	}
	return &decompressed{Reader: r, close: f.Close}, nil
}

type decompressed struct {
	io.Reader
	close func() error
}

func (d *decompressed) Close() error { return d.close() }

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
