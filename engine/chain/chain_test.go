package chain

import (
	"bytes"
	"testing"
)

func TestSealAndCheck(t *testing.T) {
	line, hash := Seal([]byte(`{"number":1}`))
	const want = `{"number":1,"hash":"` // the bytes of files that are there already
	if !bytes.HasPrefix(line, []byte(want)) || !bytes.HasSuffix(line, []byte(hash+"\"}\n")) {
		t.Fatalf("sealed as %s", line)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if got, err := Check(line); err != nil || got != hash {
		t.Errorf("the sealed line has the hash %s: %v", got, err)
	}
	for i := range line {
		changed := bytes.Clone(line)
		changed[i] ^= 1
		if _, err := Check(changed); err == nil {
			t.Errorf("byte %d can be changed", i)
		}
		if _, err := Check(line[:i]); err == nil {
			t.Errorf("it can be cut after %d bytes", i)
		}
	}
}
