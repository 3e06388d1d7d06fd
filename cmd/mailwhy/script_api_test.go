package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// api answers from the files of a folder until the script ends: api DIR. A
// request's path names the file, behind which ".TOKEN" names a later page. In
// config.yaml the port comes to stand behind "http://127.0.0.1:".
func api(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: api folder")
	}
	folder := ts.MkAbs(args[0])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Join(folder, filepath.FromSlash(r.URL.Path))
		if token := r.URL.Query().Get("pageToken"); token != "" {
			name += "." + token
		}
		http.ServeFile(w, r, name)
	}))
	ts.Defer(server.Close)
	config := ts.MkAbs("config.yaml")
	text, err := os.ReadFile(config)
	ts.Check(err)
	before, after, found := strings.Cut(string(text), "http://127.0.0.1:")
	if !found {
		ts.Fatalf("config.yaml names no api")
	}
	_, after, _ = strings.Cut(after, `"`)
	ts.Check(os.WriteFile(config, []byte(before+server.URL+`"`+after), 0o600))
}
