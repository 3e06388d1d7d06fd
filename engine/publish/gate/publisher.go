package gate

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/engine/publish"
)

// Publisher is a gate that enforces, seen as a gateway: what is in the set is
// in force there with the next message, and nothing is written anywhere.
type Publisher struct {
	GateName     string // in the configuration
	Listen       string
	EnvelopeOnly bool              // a policy service
	Log          *Log              // of the gate's decisions
	InForce      func(id int) bool // whether the gate's set holds an exception
}

// Name is the gate's name in the configuration.
func (p *Publisher) Name() string { return p.GateName }

// Lifts tells whether this gate refused the message.
func (p *Publisher) Lifts(m *mail.Message) (bool, string) {
	if d, ok := p.Log.Find(TokenOf(m.Reply.Text), m.Recipient); ok {
		return true, fmt.Sprintf("it refused the message by policy %s", d.Policy)
	}
	return false, "it did not refuse this message: what the mail server or another filter refuses, it cannot lift"
}

// Fits tells what the gate cannot see.
func (p *Publisher) Fits(e publish.Entry) ([]string, error) {
	limits := []string{"lifts what mailwhy's own policies refuse: the mail server's maps, an RBL or another filter still refuse"}
	if !p.EnvelopeOnly {
		return limits, nil
	}
	for _, policy := range e.Change.Policies {
		if policy.FromPart == engine.HeaderFrom {
			return nil, fmt.Errorf("a policy service never sees the header from")
		}
	}
	return append(limits, "the header from is not looked at here"), nil
}

// Plan is empty: there is nothing to write.
func (p *Publisher) Plan(context.Context, []publish.Entry) (publish.Plan, error) { return nil, nil }

// Apply writes nothing.
func (p *Publisher) Apply(context.Context, []publish.Entry) error { return nil }

// Verify asks whether the gate listens and has the entries.
func (p *Publisher) Verify(ctx context.Context, want []publish.Entry) error {
	failed := publish.EntryErrors{}
	for _, e := range want {
		if !p.InForce(e.ID) {
			failed[e.ID] = fmt.Errorf("the set in force does not hold it yet")
		}
	}
	if len(failed) > 0 {
		return failed
	}
	if len(want) == 0 {
		return nil
	}
	kind, address, _ := strings.Cut(p.Listen, ":")
	network := map[string]string{"unix": "unix", "inet": "tcp"}[kind]
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("nobody listens on %s: start mailwhy serve: %w", p.Listen, err)
	}
	return conn.Close()
}

// Withdraw has nothing to take away.
func (p *Publisher) Withdraw(context.Context) error { return nil }

// Recall adds to a message what the gate knew when it refused it: the policy,
// as the rule that the log names, and the header from.
func Recall(l *Log, m mail.Message) mail.Message {
	d, ok := l.Find(TokenOf(m.Reply.Text), m.Recipient)
	if !ok {
		return m
	}
	m.Reported.Rule = d.Policy
	if !m.HeaderFrom.Known() {
		m.HeaderFrom = d.HeaderFrom
	}
	if m.HeaderFromName == "" {
		m.HeaderFromName = d.HeaderFromName
	}
	if m.Client.IP == "" {
		m.Client.IP = d.Client.IP
	}
	return m
}
