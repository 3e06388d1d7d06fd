package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"mailwhy/logparse"
)

// readLog feeds one file, or standard input for "-", to the parser.
func readLog(ctx context.Context, stdin io.Reader, parser *logparse.Parser, name, format string) (logparse.Stats, error) {
	in, modified := stdin, time.Time{}
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return logparse.Stats{}, fmt.Errorf("read log: %w", err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return logparse.Stats{}, fmt.Errorf("read log: %w", err)
		}
		in, modified = file, info.ModTime()
		if strings.HasSuffix(name, ".gz") {
			z, err := gzip.NewReader(file)
			if err != nil {
				return logparse.Stats{}, fmt.Errorf("decompress %s: %w", name, err)
			}
			in = z
		}
	}
	reader := bufio.NewReaderSize(in, 1<<20)
	head, err := reader.Peek(1 << 20)
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return logparse.Stats{}, fmt.Errorf("read %s: %w", name, err)
	}
	stream := parser.Open(logparse.Source{ID: logparse.SourceID(firstLine(head)), Name: name, Format: format, ModTime: modified})
	if err := feed(ctx, reader, stream); err != nil {
		return logparse.Stats{}, fmt.Errorf("read %s: %w", name, err)
	}
	return stream.Stats(), nil
}

func firstLine(head []byte) []byte {
	if end := strings.IndexAny(string(head[:min(len(head), 1<<16)]), "\r\n"); end >= 0 {
		return head[:end]
	}
	return head
}

// feed gives the bytes to the stream in pieces, the unused rest again.
func feed(ctx context.Context, in io.Reader, stream *logparse.Stream) error {
	buffer := make([]byte, 0, 4<<20)
	var offset int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(buffer) == cap(buffer) {
			buffer = append(make([]byte, 0, 2*cap(buffer)), buffer...)
		}
		n, err := in.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if err != nil && err != io.EOF {
			return err
		}
		used := stream.Feed(offset, buffer, err == io.EOF)
		offset += int64(used)
		buffer = append(buffer[:0], buffer[used:]...)
		if err == io.EOF {
			return nil
		}
	}
}
