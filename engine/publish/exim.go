package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"mailwhy/engine/mail"
)

// EximOptions name a list that the site's ACLs look up, see
// docs/publishing.md.
type EximOptions struct {
	Name    string
	Path    string // the lsearch file
	Command string // the exim program, "" = "exim4"
	Config  string // its configuration file, "" = the built-in one
}

// NewExim publishes to an lsearch file that Exim reads anew for every message.
// Its keys are pairs, "sender>recipient", "sender>*", "@domain>recipient" and
// "@domain>*"; a header from stands behind "header=". What an entry lifts is
// what the ACLs ask the list about before they deny.
func NewExim(o EximOptions) Publisher {
	if o.Command == "" {
		o.Command = "exim4"
	}
	x := exim(o)
	return &list{name: o.Name, block: block{o.Path}, d: dialect{
		special: `$\{}*^'!|`, // Exim's expansions, patterns and negation
		lines:   x.lines,
		write:   func(key, value string) string { return key + ": " + value },
		query:   x.query,
		lifts:   x.lifts,
	}}
}

type exim EximOptions

func (x exim) lines(r row) (map[string]string, []string, error) {
	if r.permit {
		return nil, nil, errors.New("the list lifts blocks; a permit that lifts spam checks alone is for the site's own ACLs to define")
	}
	if r.header && r.recipient != "" {
		return nil, nil, errors.New("at DATA Exim decides for all recipients at once: an exception by header from cannot be for one recipient here; make it sender>all,header")
	}
	sender, recipient := r.sender, r.recipient
	if r.domain {
		sender = "@" + sender
	}
	if recipient == "" {
		recipient = "*"
	}
	keys := map[string]string{}
	if r.envelope {
		keys[sender+">"+recipient] = "bypass"
	}
	if r.header {
		keys["header="+sender+">"+recipient] = "bypass"
	}
	return keys, []string{"lifts what the ACLs ask the list about before they deny: a block list asked earlier and the content scan still refuse"}, nil
}

// query asks Exim itself, by an expansion of its own lookup.
func (x exim) query(ctx context.Context, keys []string) (map[string]string, error) {
	argv := []string{x.Command}
	if x.Config != "" {
		argv = append(argv, "-C", x.Config)
	}
	var input strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&input, "${lookup{%s}lsearch{%s}{$value}{-}}\n", key, x.Path)
	}
	out, err := runCommand(ctx, input.String(), append(argv, "-be")...)
	if err != nil {
		return nil, err
	}
	var answers []string
	for line := range strings.Lines(out) {
		answers = append(answers, strings.TrimPrefix(strings.TrimSpace(line), "> "))
	}
	known := map[string]string{}
	for i, key := range keys {
		if i < len(answers) && answers[i] != "-" {
			known[key] = answers[i]
		}
	}
	return known, nil
}

func (x exim) lifts(m *mail.Message, _ []byte) (bool, string) {
	switch {
	case m.Format != "exim":
		return false, "this message was refused by another gateway"
	case m.Phase != mail.PhaseMail && m.Phase != mail.PhaseRcpt && m.Phase != mail.PhaseData && m.Phase != mail.PhaseEndOfData:
		return false, "it was refused at a moment at which no ACL asks the list"
	}
	return true, "where the ACL that refused it asks the list first"
}
