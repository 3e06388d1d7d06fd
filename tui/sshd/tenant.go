package sshd

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"mailwhy/tui"
)

// Tenant is one of those that share a server: its people, and what they are
// given. A server that nobody shares has one, without a name.
type Tenant struct {
	Name string // what people write behind theirs, as alice+acme; "" = it is the only one
	Keys *Keyring

	// May says why a person whose key is known may not enter; nil = they may. It
	// is asked at login, and again whenever the keys are read anew.
	May func(Identity) error
	// Closed is a sentence for its people while nobody can be served; nil or "" =
	// they can.
	Closed func() string
	// Screens gives the options of a person's screens.
	Screens func(Identity) tui.Options
	// Run runs a person's command line and returns its exit status.
	Run func(ctx context.Context, who Identity, args []string, stdin io.Reader, stdout, stderr io.Writer) int
	// Note is told what happens at the door; nil = nobody is. An error turns a
	// login away: what cannot be recorded does not happen.
	Note func(Event) error
}

// completed is the tenant with what is nil in it doing nothing.
func (t Tenant) completed() *Tenant {
	if t.May == nil {
		t.May = func(Identity) error { return nil }
	}
	if t.Closed == nil {
		t.Closed = func() string { return "" }
	}
	if t.Note == nil {
		t.Note = func(Event) error { return nil }
	}
	return &t
}

// identify tells who somebody is to this tenant, and whether they may enter.
func (t *Tenant) identify(name string, key gossh.PublicKey, from netip.Addr) (Identity, error) {
	who, err := t.Keys.Identify(name, key, from)
	if err == nil {
		err = t.May(who)
	}
	return who, err
}

// membership is a tenant of somebody, and who they are there.
type membership struct {
	tenant *Tenant
	who    Identity
}

// asked is a user name taken apart: of a person, and of the tenant behind the
// last plus sign, "" when none is named.
type asked struct{ name, tenant string }

func (s *Server) asked(user string) asked {
	if len(s.tenants) == 1 && s.tenants[0].Name == "" {
		return asked{name: user}
	}
	if plus := strings.LastIndexByte(user, '+'); plus >= 0 {
		return asked{user[:plus], user[plus+1:]}
	}
	return asked{name: user}
}

// memberships are the tenants that a key is let into by all of their lists,
// whichever was named: what is answered to an offered key must not tell which
// tenants there are. Of a key that is let in nowhere, refusal says why not.
func (s *Server) memberships(name string, key gossh.PublicKey, from netip.Addr) (all []membership, refusal error) {
	refusal = errUnknownKey
	for _, t := range s.tenants {
		who, err := t.identify(name, key, from)
		if err == nil {
			all = append(all, membership{t, who})
		} else if !errors.Is(err, errUnknownKey) {
			refusal = err
		}
	}
	return all, refusal
}

// concerned are those who are told that a key was offered in vain: the tenant
// that was named, else those on whose list the key is but does not hold, else
// the server's own Stranger.
func (s *Server) concerned(user string, key gossh.PublicKey, from netip.Addr) []func(Event) error {
	a := s.asked(user)
	var list []func(Event) error
	for _, t := range s.tenants {
		_, err := t.identify(a.name, key, from)
		onList := err != nil && !errors.Is(err, errUnknownKey)
		if t.Name == a.tenant || a.tenant == "" && onList {
			list = append(list, t.Note)
		}
	}
	if list == nil {
		return []func(Event) error{s.o.Stranger}
	}
	return list
}

// choose finds the tenant of a session whose key was proved. One that is not
// there and one that is not theirs are the same; the sentence names their own.
func choose(all []membership, tenant string) (membership, error) {
	var ways []string
	for _, m := range all {
		if m.tenant.Name == tenant || tenant == "" && len(all) == 1 {
			return m, nil
		}
		ways = append(ways, m.who.Name+"+"+m.tenant.Name)
	}
	if tenant == "" {
		return membership{}, errors.New("you have several tenants here: log in as " + strings.Join(ways, " or "))
	}
	return membership{}, errors.New("you have no tenant of that name here: log in as " + strings.Join(ways, " or "))
}

// SessionsOf is how many sessions of a tenant are open.
func (s *Server) SessionsOf(tenant string) int {
	n := 0
	for _, one := range s.sessions() {
		if one.tenant.Name == tenant {
			n++
		}
	}
	return n
}
