package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"mailwhy/cmd/internal/app"
	"mailwhy/cmd/internal/audit"
	"mailwhy/cmd/internal/config"
	"mailwhy/tui"
	"mailwhy/tui/sshd"
)

// tenant is one of those that share the server: an open data folder of its own,
// with its people. Without a name it is the server's only one.
type tenant struct {
	name string
	keys *sshd.Keyring
	say  io.Writer

	tried   chan struct{} // closed when it was first tried to open it
	tryOver func()        // closes it

	mu      sync.RWMutex
	app     *app.App      // nil while it is not open
	access  config.Access // of its file as last read, for as long
	screen  tui.Options   // what every session's screens have in common
	problem string        // why it is not served; "" = it is
}

// again is how long a tenant that could not be served waits to be tried anew.
const again = 5 * time.Second

func newTenant(c config.TenantConfig, say io.Writer) *tenant {
	t := &tenant{name: c.Name, say: say, keys: sshd.OpenKeyring(keyFiles(c.Config.Serve), time.Now), tried: make(chan struct{}), access: c.Config.Access}
	t.tryOver = sync.OnceFunc(func() { close(t.tried) })
	return t
}

// onlyTenant is the one of a server that nobody shares.
func onlyTenant(a *app.App, screen tui.Options) *tenant {
	t := &tenant{keys: sshd.OpenKeyring(keyFiles(a.Config.Serve), time.Now), tried: make(chan struct{}), app: a, screen: screen}
	close(t.tried)
	return t
}

func keyFiles(s config.Serve) sshd.Files {
	return sshd.Files{AuthorizedKeys: s.AuthorizedKeys, TrustedCA: s.TrustedCA, Revoked: s.RevokedKeys}
}

// state is the open data folder, nil while there is none, and what keeps the
// tenant from being served.
func (t *tenant) state() (a *app.App, problem string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.app, t.problem
}

// fails says what keeps the tenant from being served, once; nil = nothing does.
func (t *tenant) fails(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.problem
	t.problem = ""
	if err != nil {
		t.problem = err.Error()
	}
	if t.problem != "" && t.problem != before {
		fmt.Fprintln(t.say, plain("tenant "+t.name+" is not served: "+t.problem))
	}
}

// run serves the tenant until ctx ends. What fails is a problem of this tenant
// alone, and is tried again.
func (t *tenant) run(ctx context.Context, server config.Config, opened func(*app.App)) error {
	work := func() error {
		a, _ := t.state()
		if a == nil {
			var err error
			if a, err = t.open(ctx, server, opened); err != nil {
				return err
			}
		}
		t.mu.RLock()
		screen := t.screen
		t.mu.RUnlock()
		t.fails(nil)
		t.tryOver()
		return own(ctx, a, screen, func(ctx context.Context) error {
			a.WorkBeside(ctx)
			<-ctx.Done()
			return nil
		})
	}
	for {
		t.fails(work())
		t.tryOver()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// open reads the tenant's file and opens its data folder.
func (t *tenant) open(ctx context.Context, server config.Config, opened func(*app.App)) (*app.App, error) {
	all, err := server.Tenants(os.Getenv)
	for _, one := range all {
		if one.Name != t.name {
			continue
		}
		if one.Err != nil {
			return nil, one.Err
		}
		t.keys.Use(keyFiles(one.Config.Serve))
		t.mu.Lock()
		t.access = one.Config.Access
		t.mu.Unlock()
		if err != nil { // what clashes now did not at the start
			return nil, err
		}
		c, err := absolute(one.Config)
		if err != nil {
			return nil, err
		}
		a, err := app.OpenSoon(ctx, c)
		if err != nil {
			return nil, err
		}
		screen, err := (&session{app: a}).screenOptions(c)
		if err != nil {
			return nil, errors.Join(err, a.Close())
		}
		screen.Tenant = t.name
		opened(a)
		t.mu.Lock()
		t.app, t.screen = a, screen
		t.mu.Unlock()
		return a, nil
	}
	return nil, err
}

// troubles is what keeps tenants from being served, each named.
func troubles(all []*tenant) []app.Trouble {
	var list []app.Trouble
	for _, t := range all {
		if _, problem := t.state(); problem != "" {
			list = append(list, app.Trouble{Path: "tenant " + t.name, Sentence: "it is not served: " + problem})
		}
	}
	return list
}

// close closes the data folder when nobody uses it any more.
func (t *tenant) close() error {
	if a, _ := t.state(); a != nil {
		return a.Close()
	}
	return nil
}

// door is what the SSH server asks about the tenant; what happens while its own
// audit cannot be written is recorded by the server.
func (t *tenant) door(server *app.App) sshd.Tenant {
	return sshd.Tenant{Name: t.name, Keys: t.keys, May: t.may, Closed: t.closed, Screens: t.screens, Run: t.runLine,
		Note: func(e sshd.Event) error {
			a, _ := t.state()
			if a == nil {
				return noteIn(server, e)
			}
			return noteIn(a, e)
		}}
}

// noteIn records what happened at the door.
func noteIn(a *app.App, e sshd.Event) error {
	kind := map[sshd.EventKind]audit.Event{sshd.LoggedIn: audit.Login, sshd.LoginRefused: audit.LoginRefused, sshd.LoggedOut: audit.Logout}[e.Kind]
	entry := audit.Entry{Event: kind, Actor: e.Who.Name, Key: e.Who.Fingerprint, From: e.Who.From.String(), Reason: e.Reason}
	if person, err := a.Person(e.Who.Name, e.Who.Principals); err == nil && e.Kind != sshd.LoginRefused {
		entry.Role = string(person.Role)
	}
	return a.Record(entry)
}

func (t *tenant) closed() string {
	if _, problem := t.state(); problem != "" {
		return "tenant " + t.name + " is not served at the moment: those who run the server are told why"
	}
	return ""
}

// may tells whether a person has a role here.
func (t *tenant) may(who sshd.Identity) error {
	t.mu.RLock()
	a, access := t.app, t.access
	t.mu.RUnlock()
	if a != nil {
		access = a.Access()
	}
	if access.RoleOf(who.Name, who.Principals) == "" {
		return fmt.Errorf("%s has no role here", who.Name)
	}
	return nil
}

// person is somebody with a role in the open folder.
func (t *tenant) person(who sshd.Identity) (*app.App, app.Person, error) {
	a, _ := t.state()
	if a == nil {
		return nil, app.Person{}, errors.New(t.closed())
	}
	person, err := a.Person(who.Name, who.Principals)
	return a, person, err
}

// screens are a person's screens. Open fails when their role went meanwhile.
func (t *tenant) screens(who sshd.Identity) tui.Options {
	t.mu.RLock()
	o := t.screen
	t.mu.RUnlock()
	a, person, err := t.person(who)
	o.User = person.Actor
	o.Open = func(context.Context) (tui.Services, error) {
		if err != nil {
			return tui.Services{}, err
		}
		return a.Services(person), nil
	}
	return o
}

// runLine runs a person's command line.
func (t *tenant) runLine(ctx context.Context, who sshd.Identity, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a, person, err := t.person(who)
	if err != nil {
		fmt.Fprintln(stderr, plain(err.Error()))
		return exitError
	}
	return runCommand(ctx, &session{stdin: stdin, stdout: stdout, stderr: stderr, app: a, caller: caller{person: person, dir: os.DevNull}}, args)
}
