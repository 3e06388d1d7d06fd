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

// Expand resolves globs and plain paths to the files there are, oldest first,
// each once. A plain path is kept also when there is no such file.
func Expand(patterns []string) ([]string, error) {
	var paths []string
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*?[") {
			paths = append(paths, p)
			continue
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("glob %s: %w", p, err)
		}
		paths = append(paths, found...)
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
