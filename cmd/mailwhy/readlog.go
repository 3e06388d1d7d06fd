package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"

	"mailwhy/engine/mail"
	"mailwhy/logparse"
	"mailwhy/logparse/tail"
)

// mostFirstLine is how much of a log is looked at for its first line, in bytes.
const mostFirstLine = 1 << 20

// readLog feeds one file, decompressed by its name, or standard input for "-",
// decompressed by what it begins with, to the parser, under the name the user
// gave. emit gets each message as it is made, and again whenever a later line
// changes it. Of a log that breaks off, the Stats count what was read.
func readLog(ctx context.Context, s *session, parser *logparse.Parser, name, format string, emit func(mail.Message)) (logparse.Stats, error) {
	var in io.ReadCloser
	modified := s.now()
	if name == "-" {
		var err error
		if in, err = tail.Unpack(s.stdin); err != nil {
			return logparse.Stats{}, fmt.Errorf("read standard input: %w", err)
		}
	} else {
		path, err := s.path(name)
		if err != nil {
			return logparse.Stats{}, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return logparse.Stats{}, fmt.Errorf("read log: %w", err)
		}
		if info.IsDir() {
			return logparse.Stats{}, fmt.Errorf("read log: there is no file in the folder %s", name)
		}
		modified = info.ModTime()
		if in, err = tail.Open(path); err != nil {
			return logparse.Stats{}, fmt.Errorf("read log: %w", err)
		}
	}
	defer in.Close()
	head, first, err := firstLine(in)
	if err != nil {
		return logparse.Stats{}, fmt.Errorf("read %s: %w", name, err)
	}
	stream := parser.Open(logparse.Source{ID: logparse.SourceID(first), Name: name, Format: format, ModTime: modified})
	whole := io.MultiReader(bytes.NewReader(head), in)
	blocks := 0
	drained := func() {
		parser.Drain(emit)
		if blocks++; blocks%64 == 0 {
			boundGarbage()
		}
	}
	if err := stream.Read(ctx, whole, drained); err != nil {
		return stream.Stats(), fmt.Errorf("read %s: %w", name, err)
	}
	return stream.Stats(), nil
}

// firstLine reads until the first line is complete and returns all it has read.
func firstLine(in io.Reader) (head, first []byte, err error) {
	for room := 4 << 10; ; room *= 4 {
		more := make([]byte, room)
		n, err := io.ReadFull(in, more)
		head = append(head, more[:n]...)
		if first, ok := tail.FirstLine(head); ok {
			return head, first, nil
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || len(head) >= mostFirstLine {
			return head, head, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// mostGarbage is how much memory may wait to be collected while logs are read,
// in bytes.
const mostGarbage = 16 << 20

// boundGarbage lets garbage grow with what is kept only up to mostGarbage: many
// messages that stay open would otherwise have their memory twice again.
func boundGarbage() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() == metrics.KindUint64 && live[0].Value.Uint64() > mostGarbage/gcPercent*100 {
		debug.SetGCPercent(max(20, int(100*mostGarbage/live[0].Value.Uint64())))
	}
}

// expand turns globs into the files they match, in the order of their names,
// and folders into the files in them, oldest first. A name that is a file
// stands for itself, whatever signs are in it.
func expand(names []string) ([]string, error) {
	var files []string
	for _, name := range names {
		info, err := os.Stat(name)
		if err == nil && info.IsDir() {
			inside, err := tail.Expand([]string{name})
			if err != nil {
				return nil, err
			}
			files = append(files, inside...)
			continue
		}
		if err == nil || !strings.ContainsAny(name, "*?[") {
			files = append(files, name)
			continue
		}
		found, err := filepath.Glob(name)
		if err != nil {
			return nil, fmt.Errorf("read pattern %q: %w", name, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no file matches %s", name)
		}
		files = append(files, found...)
	}
	return files, nil
}
