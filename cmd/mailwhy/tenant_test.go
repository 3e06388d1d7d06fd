package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/config"
	"mailwhy/tui/sshd"
)

// A tenant whose data folder somebody else has is named to those who run the
// server, its people are told, and it is served as soon as the folder is free.
func TestTenantWhoseFolderIsTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	acme := write("acme.yaml", "data: "+filepath.Join(dir, "acme")+"\naccess: {users: {alice: {role: operator}}}\n")
	server, err := config.Load(write("server.yaml", "data: "+filepath.Join(dir, "server")+"\nserve: {tenants: {acme: {config: "+acme+"}}}\n"), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	files, err := server.Tenants(os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	other, err := app.Open(files[0].Config)
	if err != nil {
		t.Fatal(err)
	}
	own, err := app.Open(server)
	if err != nil {
		t.Fatal(err)
	}
	one := newTenant(files[0], io.Discard)
	w, err := newWatch(own, []*tenant{one}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- one.run(ctx, server, func(a *app.App) { w.tell(a, one.name) }) }()

	<-one.tried
	if got := one.closed(); got != "tenant acme is not served at the moment: those who run the server are told why" {
		t.Errorf("its people are told %q", got)
	}
	if got := troubles([]*tenant{one}); len(got) != 1 || got[0].Path != "tenant acme" || !strings.Contains(got[0].Sentence, "it is not served: ") {
		t.Errorf("the server's troubles are %v", got)
	}
	if err := w.healthy(ctx); err == nil || err.Error() != "tenant acme is not served; mailwhy sources says why" {
		t.Errorf("it is healthy: %v", err)
	}
	if one.may(sshd.Identity{Name: "alice"}) != nil || one.may(sshd.Identity{Name: "bob"}) == nil {
		t.Error("while it is closed other people are its people")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(time.Minute); one.closed() != ""; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it is not served: %v", troubles([]*tenant{one}))
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, closing := range []func() error{one.close, own.Close} {
		if err := closing(); err != nil {
			t.Error(err)
		}
	}
}
