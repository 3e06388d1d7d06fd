package index

import (
	"os"
	"path/filepath"
	"testing"
)

// breakShard damages the file that tells bleve what a shard is.
func breakShard(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name, "index_meta.json"), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
}
