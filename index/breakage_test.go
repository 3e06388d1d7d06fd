package index

import (
	"os"
	"path/filepath"
	"testing"
)

// breakShard damages the file that tells bleve what the shard's live layer is.
func breakShard(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name, layerName(1, liveSuffix), "index_meta.json"), []byte("{torn"), 0o600); err != nil {
		t.Fatal(err)
	}
}
