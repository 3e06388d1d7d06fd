package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gzippedRejections is a compressed log of n refusals.
func gzippedRejections(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for i := range n {
		fmt.Fprint(w, rejection(i))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestCompressedInputs reads standard input compressed or not, and of a file
// that breaks off what stands before.
func TestCompressedInputs(t *testing.T) {
	dir := t.TempDir()
	mailwhy := func(stdin string, args ...string) (status int, out, errors string) {
		var stdout, stderr bytes.Buffer
		status = run(context.Background(), append(args, "--config", filepath.Join(dir, "config.yaml")), strings.NewReader(stdin), &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
	packed := string(gzippedRejections(t, 3000))
	torn, whole := filepath.Join(dir, "torn.gz"), filepath.Join(dir, "whole.gz")
	for path, data := range map[string]string{torn: packed[:len(packed)/2], whole: packed, filepath.Join(dir, "config.yaml"): "data: " + filepath.Join(dir, "data")} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if status, out, _ := mailwhy(packed, "parse", "--stats", "-"); status != exitFound || !strings.Contains(out, `"messages":3000`) {
		t.Errorf("parse of standard input: status %d, %s", status, out)
	}
	if status, out, said := mailwhy(packed, "ingest", "-"); status != exitFound || !strings.Contains(out, "postfix  3000 lines") {
		t.Errorf("ingest of standard input: status %d, %s%s", status, out, said)
	}
	for _, args := range [][]string{{"parse"}, {"parse", "--explain"}, {"parse", "--stats"}} {
		status, out, said := mailwhy("", append(args, torn)...)
		if status != exitError || !strings.Contains(said, torn+": unexpected EOF: what stands before is shown") || len(out) < 20 {
			t.Errorf("%v of half a file: status %d, %d bytes, %s", args, status, len(out), said)
		}
	}
	if status, out, _ := mailwhy("", "parse", "--stats", torn, whole); status != exitError || !strings.Contains(out, `"files":2`) || !strings.Contains(out, `"messages":3000`) {
		t.Errorf("half a file and the whole one: status %d, %s", status, out)
	}
}
