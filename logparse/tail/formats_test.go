package tail

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// manyLinesBzip2 is manyLines(400) as bzip2(1) compresses it: Go only reads it.
const manyLinesBzip2 = "QlpoMTFBWSZTWSZ+5L4ADRTbgAAQQAJ/8AQQAicAQFAD4B69ZSr1UphENGpv9UqaVGAKNGQNGmRogz/9VMpT/yqjQAElP1UA0ADBUjUqD1Mg0D3eYzyvOr+e9ZAPDQChIHA2DYOBIFDQDwyAdQAHiGgHWQDw0AoSBwNg2DgSBQ0A8MgHUABSCQOsgHhoBQkDgbBsHAkChoB4ZAOoADgbBsHAkChoB4ZAOoAD6CE9QhPoITyCE0IT37a7fPnzz589dZAPDQHOc5zne9/+IiIxEYmblaAECNFVVVVVVAIErACRGMxM3d3d/Lu4u7u7s6yBznOc5/YiIxEToITtnt7VHgITm854CEqOZzmouW6i5bqLluouW6i5bqLluonMzqMR93vO/v379+/XUALu7uLu7u+c5znO311s8BCZJzOc1Fu3EW7cRbtxHcITnLzEW7e4Qmo5zeYi3biLdTmMRve96999999eGQDqALqqqqOsRbtxFu3EW2yLbZFtsi22RbM4xEzM4xEzM4xF73u5u7u1DQDwyJNu7u7JPQAAAAADvERGIjF71u73d3bgSBQ0FVdVVE6AAAAAAvOctuW2bBsHAkVVXVV2IiMRGGVTMzMzMgAAAC85y23bYkkkySTkkk5Ju7t3ZJgAAAAJmZmZve93d3fltAKEgcVVVV0OAAAAAAc7drmZbbepO8kkk2SJJJMzMzOuuqAAAttttttuZb0CE6CEwIT+CE/QhPMEJ+hCfwQn+LuSKcKEgTP3JfA="

// packers compress manyLines(400).
var packers = map[string]func(t *testing.T) []byte{
	".gz": func(t *testing.T) []byte { return gz(t, []byte(manyLines(400))) },
	".xz": func(t *testing.T) []byte {
		return packed(t, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
	},
	".zst": func(t *testing.T) []byte {
		return packed(t, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	},
	".bz2": func(t *testing.T) []byte {
		data, err := base64.StdEncoding.DecodeString(manyLinesBzip2)
		check(t, err)
		return data
	},
}

func packed(t *testing.T, writer func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := writer(&b)
	check(t, err)
	_, err = io.WriteString(w, manyLines(400))
	check(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

// TestCompressedForms reads each form whole, of several members one after the
// other, cut at every tenth of its length, and grown whole after that.
func TestCompressedForms(t *testing.T) {
	for form, pack := range packers {
		t.Run(form, func(t *testing.T) {
			whole := pack(t)
			plain := strings.Split(strings.TrimSuffix(manyLines(400), "\n"), "\n")
			path := filepath.Join(t.TempDir(), "log.1"+form)
			read := func(data []byte, state State, sink *recorder) *Follower {
				check(t, os.WriteFile(path, data, 0o600))
				old := time.Now().Add(-time.Hour).Add(time.Duration(len(data)) * time.Millisecond)
				check(t, os.Chtimes(path, old, old))
				return readOnce(t, state, sink, path)
			}

			sink := newRecorder()
			if f := read(whole, State{}, sink); f.Files()[0].Problem != "" || len(sink.times) != 400 || sink.times[plain[399]] != 1 {
				t.Errorf("whole: %d lines, %q", len(sink.times), f.Files()[0].Problem)
			}
			sink = newRecorder()
			if f := read(slices.Concat(whole, whole), State{}, sink); f.Files()[0].Problem != "" || sink.times[plain[0]] != 2 || sink.times[plain[399]] != 2 {
				t.Errorf("two members: the first line stands %d times, %q", sink.times[plain[0]], f.Files()[0].Problem)
			}
			for tenth := range 10 {
				sink = newRecorder()
				f := read(whole[:len(whole)*tenth/10], State{}, sink)
				if tenth > 0 && f.Files()[0].Problem == "" {
					t.Errorf("%d tenths: no problem is told", tenth)
				}
				for line := range sink.times {
					if !slices.Contains(plain, line) {
						t.Errorf("%d tenths: %q is no line", tenth, line)
					}
				}
				f = read(whole, f.State(), sink)
				if f.Files()[0].Problem != "" || len(sink.times) != 400 {
					t.Errorf("whole after %d tenths: %d lines, %q", tenth, len(sink.times), f.Files()[0].Problem)
				}
				for line, times := range sink.times {
					if times != 1 {
						t.Errorf("whole after %d tenths: %q stands at %d places", tenth, line, times)
					}
				}
			}
			sink = newRecorder()
			if f := read(append(slices.Clone(whole), "what is this"...), State{}, sink); len(sink.times) != 400 {
				t.Errorf("garbage behind it: %d lines, %q", len(sink.times), f.Files()[0].Problem)
			}
			if f := read([]byte("not compressed at all\n"), State{}, newRecorder()); !strings.Contains(f.Files()[0].Problem, "cannot be decompressed") {
				t.Errorf("not compressed: %q", f.Files()[0].Problem)
			}
		})
	}
}

// TestUnpackStream reads a stream by what it begins with, for it has no name.
func TestUnpackStream(t *testing.T) {
	for form, pack := range packers {
		r, err := Unpack(bytes.NewReader(pack(t)))
		check(t, err)
		data, err := io.ReadAll(r)
		if check(t, errors.Join(err, r.Close())); string(data) != manyLines(400) {
			t.Errorf("%s: %d bytes", form, len(data))
		}
	}
	for _, text := range []string{"", "B", "BZip is a word\n", manyLines(3)} {
		r, err := Unpack(strings.NewReader(text))
		check(t, err)
		data, err := io.ReadAll(r)
		if check(t, err); string(data) != text {
			t.Errorf("%q became %q", text, data)
		}
	}
	if _, err := Unpack(bytes.NewReader([]byte{0x1f, 0x8b, 0xff})); err == nil {
		t.Error("a torn head of gzip is no error")
	}
}
