package sshd

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// Alice is in acme, Bob in globex, Carol in both. What somebody is told must be
// the same for a tenant that is not there and for one that is not theirs.
func TestTenants(t *testing.T) {
	dir := t.TempDir()
	alice, bob, carol, stranger := newKey(t), newKey(t), newKey(t), newKey(t)
	lists := map[string]string{"acme": filepath.Join(dir, "acme"), "globex": filepath.Join(dir, "globex")}
	told := map[string]*house{"acme": {t: t}, "globex": {t: t}, "": {t: t}}
	h := newHouse(t, func(h *house) {
		h.write(lists["acme"], lineFor(`user="alice"`, alice.PublicKey())+lineFor(`user="carol"`, carol.PublicKey()))
		h.write(lists["globex"], lineFor(`user="bob"`, bob.PublicKey())+lineFor(`user="carol"`, carol.PublicKey()))
		one := h.o.Tenants[0]
		h.o.Tenants, h.o.Stranger = nil, told[""].note
		for _, name := range []string{"acme", "globex"} {
			tenant := one
			tenant.Name, tenant.Keys, tenant.Note = name, OpenKeyring(Files{AuthorizedKeys: lists[name]}, time.Now), told[name].note
			h.o.Tenants = append(h.o.Tenants, tenant)
		}
	})
	from := addressOf(nil)
	for _, c := range []struct {
		user   string
		key    gossh.Signer
		tenant string // where they get
		says   string // why they do not
		tells  string // who is told of the refusal
	}{
		{"alice", alice, "acme", "", ""},
		{"alice+acme", alice, "acme", "", ""},
		{"bob", bob, "globex", "", ""},
		{"carol+acme", carol, "acme", "", ""},
		{"carol+globex", carol, "globex", "", ""},
		{"carol", carol, "", "you have several tenants here: log in as carol+acme or carol+globex", ""},
		{"alice+globex", alice, "", "you have no tenant of that name here: log in as alice+acme", "globex"},
		{"alice+nosuch", alice, "", "you have no tenant of that name here: log in as alice+acme", ""},
		{"alice+", alice, "acme", "", ""},
		{"bob+acme", alice, "", errUnknownKey.Error(), "acme"},
		{"alice", stranger, "", errUnknownKey.Error(), ""},
		{"alice+acme", stranger, "", errUnknownKey.Error(), "acme"},
		{"alice+acme+globex", alice, "", errUnknownKey.Error(), "globex"},
	} {
		asked := h.server.asked(c.user)
		known, err := h.server.memberships(asked.name, c.key.PublicKey(), from)
		got := membership{tenant: &Tenant{}}
		if len(known) > 0 {
			if got, err = choose(known, asked.tenant); err != nil {
				got.tenant = &Tenant{}
			}
		}
		says := ""
		if err != nil && got.tenant.Name == "" {
			says = err.Error()
		}
		if got.tenant.Name != c.tenant || says != c.says {
			t.Errorf("%s gets to %q and is told %q, want %q and %q", c.user, got.tenant.Name, says, c.tenant, c.says)
		}
		if c.tenant != "" {
			continue
		}
		h.server.noteRefusal(refusal{c.user, "SHA256:x", err, h.server.concerned(c.user, c.key.PublicKey(), from)}, from)
		if !told[c.tells].saw(LoginRefused, c.user, c.says) {
			t.Errorf("the refusal of %s was not told to %q", c.user, c.tells)
		}
	}

	// In sessions as at the door: a proved key is told the same of both.
	for _, user := range []string{"alice+globex", "alice+nosuch"} {
		said, status := h.command(h.login(user, alice), "hello")
		if want := "you have no tenant of that name here: log in as alice+acme\n"; said != want || status != exitRefused {
			t.Errorf("%s is told %q, %d", user, said, status)
		}
	}

	// A key that one tenant takes back ends its sessions there, leads to no other
	// by itself, and goes on elsewhere.
	atAcme, atGlobex := h.screen(h.login("carol+acme", carol), "xterm"), h.screen(h.login("carol+globex", carol), "xterm")
	atAcme.until("this is a test")
	atGlobex.until("this is a test")
	if n := h.server.SessionsOf("acme"); n != 1 {
		t.Errorf("acme has %d sessions", n)
	}
	h.write(lists["acme"], "# nobody\n")
	atAcme.end()
	atAcme.until("your session has ended: the key is not known for this user")
	if said, status := h.command(h.login("carol", carol), "hello"); status != 0 || !strings.HasPrefix(said, "carol\n") {
		t.Errorf("globex's own person is told %q, %d", said, status)
	}
	if n := h.server.SessionsOf("globex"); n < 1 {
		t.Error("the session at globex ended too")
	}
}
