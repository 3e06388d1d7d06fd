package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mayImport is the table of rooms: which of our packages each package may
// import. A package that is not here has no room yet; a row ending in "/..."
// stands for the whole folder.
var mayImport = map[string][]string{
	"engine/mail":          {},
	"engine":               {"engine/mail"},
	"engine/reply":         {"engine/mail"},
	"engine/chain":         {},
	"engine/exception":     {"engine", "engine/chain", "engine/mail"},
	"engine/mimecast":      {},
	"engine/publish":       {"engine", "engine/mail", "engine/mimecast"},
	"engine/publish/gate":  {"engine", "engine/mail", "engine/publish"},
	"logparse":             {"engine/mail"},
	"logparse/tail":        {},
	"logparse/spool":       {},
	"logparse/listen":      {"logparse/spool"},
	"logparse/journal":     {"logparse/spool"},
	"logparse/siem":        {"logparse/spool", "engine/mimecast"},
	"index":                {"index/raw", "index/sealed", "index/facts", "engine/mail"},
	"index/sealed":         {},
	"index/facts":          {"engine/mail"},
	"index/raw":            {"engine/mail"},
	"index/ingest":         {"index", "logparse", "logparse/tail", "engine/mail"},
	"tui":                  {"engine", "engine/mail", "engine/exception", "engine/reply", "index", "tui/table", "tui/cell", "tui/quiet"},
	"tui/table":            {"tui/cell"},
	"tui/cell":             {},
	"tui/quiet":            {},
	"tui/sshd":             {"tui", "tui/quiet", "engine/exception"},
	"cmd/internal/config":  {},
	"cmd/internal/durable": {},
	"cmd/internal/audit":   {"cmd/internal/durable", "engine/chain"},
	"cmd/internal/check":   {},
	"cmd/internal/app":     {"..."},
	"cmd/mailwhy":          {"..."},
	"sample-logs":          {},

	"cmd/internal/observe": {},
}

// onlyIn fences third parties: the folders that may import a module.
var onlyIn = map[string][]string{
	"github.com/blevesearch/":       {"index"},
	"github.com/fsnotify/":          {"logparse/tail"},
	"github.com/d--j/go-milter":     {"engine/publish/gate"},
	"github.com/klauspost/":         {"logparse/tail", "index/raw", "index/sealed", "index/facts"},
	"github.com/charmbracelet/":     {"tui", "tui/table", "tui/cell", "tui/sshd"},
	"github.com/charmbracelet/wish": {"tui/sshd"},
	"github.com/charmbracelet/ssh":  {"tui/sshd"},
	"golang.org/x/crypto":           {"tui/sshd", "cmd/mailwhy"},
	"github.com/spf13/cobra":        {"cmd/mailwhy"},
	"github.com/miekg/dns":          {"cmd/internal/check"},
	"golang.org/x/net/publicsuffix": {"engine", "engine/exception", "cmd/internal/check"},

	"github.com/prometheus/":       {"cmd/internal/observe"},
	"github.com/coreos/go-systemd": {"cmd/mailwhy"},
}

// purePackages must not reach the outside world: the engine is a function.
var purePackages = []string{"engine/mail", "engine", "engine/reply", "engine/chain"}

func TestImportsPointDownward(t *testing.T) {
	for _, p := range listPackages(t) {
		room := strings.TrimPrefix(p.ImportPath, "mailwhy/")
		allowed, known := mayImport[room]
		if !known {
			t.Errorf("package %s has no row in the table of rooms", room)
			continue
		}
		for _, imported := range p.Imports {
			if ours, ok := strings.CutPrefix(imported, "mailwhy/"); ok {
				if !slices.Contains(allowed, ours) && !slices.Contains(allowed, "...") {
					t.Errorf("%s imports %s, which stands above it or beside it", room, ours)
				}
				continue
			}
			checkThirdParty(t, room, imported)
		}
	}
}

func checkThirdParty(t *testing.T, room, imported string) {
	t.Helper()
	for prefix, rooms := range onlyIn {
		if strings.HasPrefix(imported, prefix) && !slices.Contains(rooms, room) {
			t.Errorf("%s imports %s, which only %v may", room, imported, rooms)
		}
	}
	if slices.Contains(purePackages, room) {
		for _, impure := range []string{"os", "net", "net/http", "os/exec", "database/sql"} {
			if imported == impure {
				t.Errorf("%s is pure and imports %s", room, imported)
			}
		}
	}
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "mailwhy/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
